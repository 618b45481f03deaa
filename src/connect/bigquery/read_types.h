#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/settings.h"
#include "data/holds.h"
#include "data/type.h"

namespace arrow {
class DataType;
}

namespace penstock::bigquery {

/// A column of a table or of a query's result as BigQuery describes it (REST: TableFieldSchema).
struct WireColumn {
    std::string name;
    std::string type;  ///< INT64, NUMERIC, STRUCT …: GoogleSQL's names
    bool repeated = false;
    bool required = false;
    int precision = 0;  ///< of a NUMERIC or BIGNUMERIC that declares one; else 0
    int scale = 0;
    std::string element = {};             ///< of a RANGE: DATE, DATETIME or TIMESTAMP
    std::vector<WireColumn> fields = {};  ///< of a STRUCT
};

WireColumn wire_column(const nlohmann::json& field);
std::vector<WireColumn> wire_columns(const nlohmann::json& schema);

/// "ARRAY<STRUCT<`a` NUMERIC(10, 2)>>"
std::string type_text(const WireColumn& column);

/// How Storage Read sends the column ("Arrow schema details" of the API's page).
std::shared_ptr<arrow::DataType> wire_type(const WireColumn& column);

struct ReadMapping {
    const config::TypePolicies& policies;
    const data::Holds& holds;
    std::string table;  ///< for `numeric: {table.column: …}`
};

/// The one table of types for reading: what the column becomes. An error where a type has no place.
Result<data::Field> read_field(const WireColumn& column, const ReadMapping& mapping);

}  // namespace penstock::bigquery
