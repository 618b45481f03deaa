#pragma once

#include <string>

#include "connect/postgres/pg_type.h"
#include "data/type.h"

namespace penstock::postgres {

struct CanonicalRequest {
    Oid type = 0;              ///< of the value
    std::string value;         ///< SQL
    data::Type target;         ///< as the target has it
    bool nan_is_null = false;  ///< `special_numbers: null`
    bool utf8 = true;          ///< the server keeps its texts in UTF-8
};

/// A value's canonical text (flow/comparison.h) in PostgreSQL's SQL; "" where a value of the type is never one of the target's.
std::string canonical_text(const CanonicalRequest& request, const TypeCatalog& types);

}  // namespace penstock::postgres
