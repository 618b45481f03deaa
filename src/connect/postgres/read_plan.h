#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/postgres/catalog.h"
#include "connect/postgres/increment.h"
#include "connect/postgres/types.h"
#include "flow/source.h"

namespace penstock::postgres {

/// A column as it will be read.
struct ReadColumn {
    data::Field field;
    std::string expression;  ///< SQL, unqualified
    ReaderPtr reader;
    Oid type = 0;
    int32_t modifier = -1;
    bool generated = false;
    bool by_text = false;  ///< the reader takes PostgreSQL's text form
};

/// A table (or query) as it will be read, worked out before any row is.
struct TableRead {
    flow::TableInfo info;
    std::string schema;
    Oid oid = 0;               ///< of the relation; 0 for a query
    std::string identity;      ///< of the relation: Relation::identity; "" for a query
    std::string relation;      ///< also the alias, so that `where:` may qualify columns
    std::vector<Leaf> leaves;  ///< empty for a query
    bool lockable = false;     ///< a table, so that LOCK TABLE takes it
    bool inherits = false;     ///< has children by inheritance, read through the parent
    std::string query;         ///< of the user; "" for tables
    std::string where;         ///< of the user
    std::vector<ReadColumn> columns;
    int cursor = -1;  ///< index into columns
    CursorKind cursor_kind = CursorKind::none;
    std::string cursor_type;  ///< SQL name
    bool cursor_nullable = true;
    std::string cursor_lag;

    std::vector<ReaderPtr> readers() const;
    std::string select_list() const;
    /// FROM clause for one leaf, or for the whole.
    std::string from(const Leaf* leaf) const;
    /// "WHERE …" of the user's condition and the given ones; "" entries are left out.
    std::string where_clause(std::initializer_list<std::string> conditions) const;
};

/// Columns, types and readers of everything the source names. Reads the catalog only.
Result<std::vector<TableRead>> plan_reads(Session& session, const SourceOptions& options,
                                          const config::TypePolicies& policies, const data::Holds& holds);

}  // namespace penstock::postgres
