#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "connect/postgres/read_plan.h"
#include "connect/postgres/replication/publication.h"
#include "connect/postgres/text/text_wire.h"

namespace penstock::postgres {

/// A table whose changes are captured.
struct ChangeTable {
    TableRead read;           ///< for its snapshot; without generated columns, which no change carries; info.changes
    std::vector<size_t> key;  ///< columns of info.key
    std::vector<TextToWire> text;  ///< one a column: its text form into what the column's reader takes
};

struct ChangePlan {
    std::vector<ChangeTable> tables;
    bool binary = false;  ///< no column needs its type's text: values may come in their binary form
};

/// The options of `changes:` as plan_reads() and list_relations() take them.
SourceOptions whole_tables(const SourceOptions& options);

/// Tables, columns, keys and readers of everything that `changes:` names. Reads the catalog only. A table without replica
/// identity is an error with the statement that gives it one.
Result<ChangePlan> plan_changes(Session& session, const SourceOptions& options, const config::TypePolicies& policies,
                                const data::Holds& holds);

/// Where the values of a tuple go: a table's columns as one relation message has them, in the order of its values.
struct ChangeShape {
    static constexpr int not_captured = -1;

    /// A column of the table that the message does not have: the tuple is older than it.
    struct Missing {
        size_t column;
        std::optional<std::string> initial;  ///< wire form of what the server takes for it; nothing: NULL
    };

    std::vector<int> columns;  ///< index into the table's columns, or not_captured
    std::vector<Missing> missing;
    /// Tuples of this shape cannot be read, and why; those that are not wanted need not be.
    std::optional<Error> failure = {};
    bool complete = true;  ///< every column of the message is in the table, or known to be none of ours
};

struct RelationMessage;

/// Whether PostgreSQL gives rows other values when a column's modifier goes from one to another: numeric(10,2) to
/// numeric(10,0), timestamp(6) to timestamp(0), char(5) to char(9).
bool changes_values(Oid type, int32_t from, int32_t to);

/// Matches by the columns' `numbers` (numbers_of()), one a column of the message, or by name where there are none. A type other
/// than the table's is an error: PostgreSQL rewrote the rows without telling their values.
Result<ChangeShape> match_shape(const ChangeTable& table, const RelationMessage& message,
                                std::span<const int32_t> numbers = {});

/// Of changes whose columns have had other names since.
Error columns_renamed(const ChangeTable& table);

}  // namespace penstock::postgres
