#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "schedule/plan.h"

namespace penstock::app {

/// Comparisons of source and target that pipelines have times for (`verify`), as the scheduler sees them: "orders:verify". They
/// hold what the pipeline's runs hold.
Status add_verify_jobs(const config::Document& document, schedule::Jobs& jobs);

/// The pipeline of such a job; null for any other.
const config::PipelineConfig* verified_pipeline(const config::Document& document, std::string_view job);

/// The command that does such a job: "verify", "orders", "--part", "next"; nothing for any other.
std::vector<std::string> verify_command(std::string_view job);

}  // namespace penstock::app
