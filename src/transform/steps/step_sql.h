#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/step.h"
#include "engine/database.h"
#include "flow/source.h"

namespace penstock::steps {

/// One step in SQL: a query over `batch`, which is what the steps before it give.
struct StepSql {
    std::string name;   ///< as messages call it: "cast", "filter only_active"
    std::string place;  ///< in the configuration file
    std::string query;
    /// Columns that go through unchanged, by the name they have afterwards: the one before. Of a user's query it is a guess, by
    /// name.
    std::map<std::string, std::string> same;
    bool guessed = false;
    /// Columns it replaces in place.
    std::vector<std::string> replaced;
    /// Columns, as they are called before it, whose values must not be seen anywhere from here on.
    std::vector<std::string> concealed;
    /// One query a column that it computes, to find out which one is at fault.
    std::map<std::string, std::string> trials;
};

/// The step for a table with these columns. Refused where it names columns that are not there, or types that DuckDB does not know.
Result<StepSql> step_sql(const config::Located<config::Step>& step, const flow::TableInfo& info,
                         engine::Connection& connection);

/// Where a column that a step names stands; refused where the table has none of that name.
Result<size_t> column_at(const flow::TableInfo& info, const std::string& name, const config::Place& place);

/// A configuration error at a step.
Error at_step(const config::Place& place, std::string code, std::string message, std::string hint);

}  // namespace penstock::steps
