#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/settings.h"
#include "data/type.h"

namespace penstock::bigquery {

/// A column as BigQuery has it.
struct Column {
    std::string name;
    std::string type;  ///< INT64, NUMERIC, STRUCT, RANGE<DATE> …: GoogleSQL's names
    bool repeated = false;
    bool required = false;
    std::vector<Column> fields = {};  ///< of a STRUCT
    std::string description = {};
    std::string carrier = {};  ///< the type its values are staged in, where that is another; "" the same

    /// The same type, whatever names and modes.
    bool same_type(const Column& other) const;
};

/// The one table of types for BigQuery. An error where a type has no place there.
Result<Column> column_of(const data::Field& field, const config::TypePolicies& policies);

/// "ARRAY<STRUCT<`a` INT64, `b` STRING>>"
std::string sql_type(const Column& column);
/// For `penstock types`, by the default policies.
std::string type_name(const data::Field& field);
/// DATE, DATETIME or TIMESTAMP of "RANGE<DATE>"; "" of any other type.
std::string range_element(const Column& column);

/// The column as it is staged: what Parquet cannot bring comes as STRING (JSON, INTERVAL), or as a STRUCT of start and end (RANGE).
Column staged(Column column);
/// A staged value as the column's, in GoogleSQL; the expression itself where they are the same.
std::string unstage_sql(const Column& column, const std::string& value, const config::TypePolicies& policies);

/// A key's value as an expression that is equal where the source's are: there NaN is itself, and -0 is 0; BigQuery neither takes a NaN
/// for another nor partitions by floating point ("Mathematical functions", "Window function calls"), nor compares arrays.
std::string comparable(const Column& column, const std::string& value);

/// Whether every value of `narrow` is a value of `wide`, exactly.
bool holds(const Column& wide, const Column& narrow);
/// Whether ALTER COLUMN … SET DATA TYPE leads from one to the other ("Data definition language": the table of coercions).
bool can_widen(const Column& from, const Column& to);

/// REST's form of a schema's field, and back.
nlohmann::json to_json(const Column& column);
Column column_from_json(const nlohmann::json& field);

}  // namespace penstock::bigquery
