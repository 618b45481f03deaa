#pragma once

#include "app/work/work.h"
#include "config/work.h"

namespace penstock::app {

/// dbt as it is called. Where it leaves its artefacts is the pipeline's alone, so that no two runs of dbt meet there.
Program dbt_program(const config::DbtWork& dbt, const WorkTry& work);

/// Runs it, and reads what became of its nodes. A failed node is the try's error, a failed test one of kind check_failed.
Status run_dbt(const config::DbtWork& dbt, const WorkTry& work, std::vector<flow::TableResult>& tables,
               std::stop_token stop);

}  // namespace penstock::app
