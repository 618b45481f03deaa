#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/type.h"
#include "flow/ledger.h"
#include "flow/source.h"
#include "flow/validation.h"

namespace penstock::flow {

/// How the two sides of a pipeline are compared: each engine writes its values as canonical texts, in SQL of its own, and two
/// values are the same exactly when their texts are. The text of a value depends on its type in the target alone:
///
///     boolean              true, false
///     integers, uuid       their digits, lower case
///     floats               17 significant digits, 1.0000000000000000e+00; NaN, Infinity, -Infinity; one zero
///     decimal(p,s)         its digits, without zeros at the end behind the point: 1.5
///     text, json           as they are
///     bytes                hexadecimal, lower case
///     dates, times         as PostgreSQL writes them in ISO style and UTC: 2026-11-21 12:00:00.5+00, 0044-03-15 BC, infinity
///     interval             months,days,microseconds
///     list, structure      [a;b;], (a;b;) of framed texts (below)
///     map                  {key;value;key;value;}, in the order of the keys' bytes
///
/// A text is framed where it stands beside others, so that no two rows read the same: NULL is `n`; text, json, lists,
/// structures and maps are preceded by their number of bytes and a colon; all others stand as they are, for they hold none of the
/// signs.
struct ComparedColumn {
    std::string name;
    data::Type type;
    std::string text = {};          ///< SQL of its canonical text, which is NULL where the value is
    std::string not_compared = {};  ///< why it has none; "" it has one
};

/// One table on one side, as one moment shows it.
struct ComparedTable {
    std::string dialect;         ///< whose SQL: postgres, duckdb, bigquery
    std::string from;            ///< what stands behind FROM
    std::string where = {};      ///< the rows that count; "" all
    std::string newer = {};      ///< of the source: the rows that no run has read yet; "" none that could be told
    bool utf8 = true;            ///< the engine keeps texts in UTF-8
    bool gives_up_rows = false;  ///< of the target: CheckedTarget::remove() takes rows away
    std::vector<ComparedColumn> columns;
    std::function<Result<TextRows>(const std::string& sql)> ask;
    int64_t bytes = -1;  ///< that a look at all of it reads, as its engine says; -1 it does not say
};

/// The source of a pipeline as something to be compared. One thread.
class ComparedSource {
  public:
    virtual ~ComparedSource() = default;
    /// The tables as a run would find them.
    virtual Result<std::vector<TableInfo>> tables(std::stop_token stop) = 0;
    /// Fixes the moment that is compared; calls of table() are answered as of the last one.
    virtual Status look() = 0;
    /// That moment in the source's own words, for people; of a stream a position that Slots can be asked about.
    virtual std::string moment() const = 0;
    /// Columns that the target has as well, with the types that they have there. `last`: how far the target has got.
    virtual Result<ComparedTable> table(const TableInfo& info, const std::vector<ComparedColumn>& target,
                                        const std::optional<Checkpoint>& last) = 0;
};

/// The target, likewise. One thread.
class ComparedTarget {
  public:
    virtual ~ComparedTarget() = default;
    /// A table as it stands with all its columns; nothing where it is not there.
    virtual Result<std::optional<ComparedTable>> table(const std::string& name) = 0;
    virtual Spending spent() const { return {}; }
};

}  // namespace penstock::flow
