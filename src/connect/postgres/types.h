#pragma once

#include <string>
#include <string_view>

#include "config/settings.h"
#include "connect/postgres/pg_type.h"
#include "connect/postgres/reader.h"
#include "data/holds.h"
#include "data/type.h"

namespace penstock::postgres {

/// How one column gets from the server into a block: what it is called there, what it is asked for as, who decodes it.
struct Mapping {
    data::Type type;
    /// The expression to select: the column itself, or its text where the contract asks for PostgreSQL's own text form.
    std::string expression;
    ReaderPtr reader;
    /// What is not kept, or "".
    std::string note = {};
    /// The server renders the value as text, by its type's output function.
    bool by_text = false;
};

/// What the mapping depends on beside the type itself.
struct MappingRequest {
    std::string table;  ///< for policies by table.column
    std::string column;
    std::string expression;  ///< SQL for the value
    Oid type = 0;
    int32_t modifier = -1;
    int32_t dimensions = 0;  ///< declared, 0 unknown
};

/// Everything that is the same for all columns of a run.
struct MappingContext {
    const TypeCatalog& catalog;
    const config::TypePolicies& policies;
    data::Holds holds;
    bool validate_utf8;  ///< the server does not vouch for its text
};

/// Composites within composites, arrays within those: deeper than this is a mistake or an attack.
constexpr int deepest_type = 16;

/// The type table for PostgreSQL: (source type, what the target holds, policies) to type, expression and reader. The only
/// place where PostgreSQL types are told apart, for COPY and for change streams. A type that is not listed is an error.
Result<Mapping> map_type(const MappingRequest& request, const MappingContext& context);

}  // namespace penstock::postgres
