#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::app {

/// Pipelines that come after one another and have one schedule: what runs together where somebody else begins the runs.
struct RunGroup {
    const config::PipelineConfig* leader = nullptr;        ///< whose schedule they run by; null: none
    std::vector<const config::PipelineConfig*> pipelines;  ///< in the order in which they run

    const std::string& name() const { return pipelines.front()->name; }
};

/// Each pipeline in one group, in the order in which they run. Groups do not wait for one another, but where a pipeline comes
/// after one of another schedule.
std::vector<RunGroup> run_groups(const config::Document& document);

/// A schedule as the five fields of cron; nothing where an `@every` has no such form.
std::optional<std::string> cron_fields(const std::string& schedule);
/// The time zone whose clock a schedule goes by. `@every` goes by none.
std::string schedule_zone(const config::PipelineConfig& leader);

/// How many processes share a pipeline's stream, by pipeline: `--shards NAME=N`, as often as there are such.
using Shards = std::map<std::string, int>;
/// Errors: no such pipeline, no number, a pipeline that processes cannot share.
Result<Shards> read_shards(const config::Document& document, const std::vector<std::string>& given);

/// What another system cannot say is refused, so that nobody believes it is done.
Error not_exported(const config::Place& place, std::string message, std::string hint);

}  // namespace penstock::app
