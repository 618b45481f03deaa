#pragma once

#include "config/document.h"
#include "schedule/plan.h"

namespace penstock::app {

/// The pipelines of a configuration as the scheduler sees them. The document is as `read_project` gives it: a pipeline with
/// `for_each` is one job.
Result<schedule::Jobs> scheduled_jobs(const config::Document& document);

/// The time zone of the schedule that a pipeline runs by; UTC where it has none.
Result<Zone> zone_of(const config::Document& document, const config::PipelineConfig& pipeline);

}  // namespace penstock::app
