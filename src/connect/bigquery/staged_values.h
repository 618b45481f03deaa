#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "connect/bigquery/types.h"
#include "data/type.h"

namespace penstock::bigquery {

/// What keeps a row out of BigQuery, as SQL of the embedded engine.
struct Fault {
    std::string condition;  ///< never NULL
    std::string code;
    std::string reason;  ///< an expression that gives the sentence
};

/// A source's value as Parquet brings it to a staging table, in SQL of the embedded engine. Policies that change values
/// (`special_dates: clamp`, `array_nulls: drop`) are applied here and nowhere else.
std::string stage_sql(const data::Type& type, const Column& column, const std::string& value,
                      const config::TypePolicies& policies);

/// What of the type's values the column cannot hold; nothing where it holds all.
std::vector<Fault> faults_of(const data::Type& type, const Column& column, const std::string& value,
                             const config::TypePolicies& policies);

}  // namespace penstock::bigquery
