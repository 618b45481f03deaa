#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/type.h"
#include "flow/sink.h"

namespace penstock::parquet {

/// One column of the table to be written.
struct ShapeColumn {
    data::Field field;   ///< name and type in the files
    int source = -1;     ///< index into the source's schema; -1: NULL from now on
    std::string before;  ///< its name in the files that are there already, "" where they lack it
};

struct Shape {
    std::vector<ShapeColumn> columns;
    std::vector<flow::SchemaDecision> decisions;
    bool reads_everything = false;  ///< rows already there need values of a new column that only the source's rows tell

    data::Schema schema() const;
};

/// What is known of the table from its newest manifest.
struct KnownShape {
    data::Schema shape;
    data::Schema source;
};

/// How the load treats the files that are there.
enum class Rewrite {
    none,     ///< they stay as they are: append
    carried,  ///< their rows are written anew: merge, history
    dropped,  ///< they go: replace, full refresh
};

/// What the load allows.
struct Terms {
    flow::SchemaChange policy = flow::SchemaChange::evolve;
    Rewrite rewrite = Rewrite::none;
    /// Why rows that are there cannot be read again and take a new column's value; "" when they can, or come again anyway.
    std::string no_rereading;
    std::vector<std::string> fixed;  ///< the key and the cursor: they must stay the columns they were
};

/// Compares the source with the table and decides by the policy; nothing is done yet. Columns are matched by name, but as long
/// as the source's table is the one that was loaded, its numbers say more: a name that another column bears now is not the
/// same column. A decision "refused" means that the load must not go on.
Shape evolve(const std::optional<KnownShape>& known, const data::Schema& source, Terms terms);

/// Every value of `from` is a value of `to`: int32 in int64, decimal(12,2) in decimal(20,4).
bool widens(const data::Type& from, const data::Type& to);

/// The refused decisions as one error, or nothing.
Status check_refused(const std::string& table, const std::vector<flow::SchemaDecision>& decisions);

}  // namespace penstock::parquet
