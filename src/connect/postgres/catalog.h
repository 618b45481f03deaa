#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connect/postgres/options.h"
#include "connect/postgres/pg_type.h"

namespace penstock::postgres {

/// A column of a relation, or of a query's result.
struct CatalogColumn {
    std::string name;
    Oid type = 0;
    int32_t modifier = -1;
    std::string shown_type;  ///< format_type(), with modifier
    bool not_null = false;
    bool generated = false;
    int32_t number = 0;  ///< attnum; position in a query
    int32_t dimensions = 0;
    double distinct = 0;  ///< pg_stats.n_distinct: negative is a share of the rows
    int32_t average_bytes = 0;
    std::optional<std::string> initial =
        {};                       ///< what rows older than the column hold: a constant DEFAULT it was added with
    bool initial_unknown = true;  ///< the catalog cannot tell; without this and without `initial` it says NULL
};

/// A piece of a relation that is read by itself: the relation, or a leaf of a partitioned one.
struct Leaf {
    Oid oid = 0;
    std::string schema;
    std::string name;
    char kind = 'r';
    int64_t pages = 0;  ///< on disk, now
    bool heap = true;   ///< has ctid and xmin
    int64_t file = 0;   ///< relfilenode: another one means that the rows were written anew
};

struct Relation {
    Oid oid = 0;
    std::string identity;  ///< never that of another relation, wherever it stands: system, database and relation
    std::string schema;
    std::string name;
    char kind = 'r';  ///< relkind: r table, p partitioned, v view, m materialized view, f foreign
    bool has_children = false;
    double rows = -1;  ///< pg_class.reltuples, -1 never analyzed
    std::vector<CatalogColumn> columns;
    std::vector<std::string> primary_key;
    std::vector<Leaf> leaves;

    std::string full_name() const { return schema + "." + name; }
};

/// Relations that `table` or `tables` and `exclude` name, with columns, keys and leaves, in order of name. A name without
/// schema is looked up in the search path; `*` and `?` are wildcards. Nothing found is an error with the nearest name.
Result<std::vector<Relation>> find_relations(Session& session, const SourceOptions& options);

/// The same without looking into them: only oid, schema, name and kind are told.
Result<std::vector<Relation>> list_relations(Session& session, const SourceOptions& options);

/// Every table and materialized view outside the system schemas, for `init`.
Result<std::vector<Relation>> all_relations(Session& session);

/// The result columns of a query.
Result<std::vector<CatalogColumn>> describe_query(Session& session, const std::string& query);

}  // namespace penstock::postgres
