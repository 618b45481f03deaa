#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connect/duckdb/source_options.h"
#include "data/holds.h"
#include "engine/database.h"
#include "flow/source.h"

namespace penstock::duckdb {

/// A column by which a table is read, in SQL.
struct ReadCursor {
    std::string column;  ///< quoted; "" where there is none
    std::string type;
    std::string lag;     ///< what is subtracted from the last value, or ""
    bool times = false;  ///< values may be infinite
    bool nullable = true;

    bool any() const { return !column.empty(); }
    /// A value as SQL.
    std::string literal(const std::string& text) const;
    /// Rows that are new since `last`: DuckDB keeps no word of when a row was written, so everything from the largest value
    /// less the lag on is read again, and rows without value always are. "" where nothing was read yet.
    std::string newer_than(const std::string& last) const;
};

/// A value that the target cannot hold, for which its row is refused.
struct Unheld {
    std::string column;
    std::string condition;  ///< SQL over the table's own columns
    std::string code;
    std::string reason;
};

/// One table, view or query of a source and how its rows are asked for.
struct TableRead {
    flow::TableInfo info;
    std::string from;  ///< behind FROM
    std::string where;
    std::vector<std::string> expressions;  ///< a column of the schema each
    std::vector<Unheld> unheld;
    ReadCursor cursor;
    std::vector<std::string> key;  ///< names refused rows; may be empty

    /// `condition` as of ReadCursor, "" for none; `limit` below 0: all.
    std::string select(const std::string& condition, int64_t limit) const;
    /// The rows that select() leaves out because of `unheld`: which of them it was, and the row as JSON.
    std::string refused(const std::string& condition, int64_t limit) const;
    /// The largest cursor of the rows, as text, no less than `last`.
    std::string largest(const std::string& condition, const std::string& last) const;
    /// Another table, cursor, condition or query makes another sequence of rows: positions of the one say nothing about the other.
    std::string sequence() const;

  private:
    std::string rows(const std::string& condition) const;
};

/// What the options ask for, as it stands in the file.
Result<std::vector<TableRead>> plan_reads(engine::Connection& connection, const SourceOptions& options,
                                          const data::Holds& holds);

}  // namespace penstock::duckdb
