#pragma once

#include <string>

#include "app/export/groups.h"

namespace penstock::app {

/// A Python file of DAGs for Airflow 3 that run the configuration's pipelines as `penstock serve` would: a DAG for each of
/// run_groups(), a sensor where a pipeline comes after one of another group, mapped tasks where processes share a stream.
/// `written` is the configuration before its references were resolved. Errors: what a DAG cannot say.
Result<std::string> airflow_file(const config::Document& document, const config::Node& written, const Shards& shards);

}  // namespace penstock::app
