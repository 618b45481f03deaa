#include "app/schedule/verify_jobs.h"

#include "app/pipeline.h"

namespace penstock::app {
namespace {

constexpr std::string_view suffix = ":verify";

std::string_view pipeline_of(std::string_view job) {
    return job.ends_with(suffix) ? job.substr(0, job.size() - suffix.size()) : std::string_view();
}

Error one_of_many(const config::PipelineConfig& pipeline, const config::Text& schedule) {
    return {.kind = ErrorKind::configuration,
            .code = "verify_not_available",
            .message = pipeline.name + ": one that stands for each row of a table is not compared by a schedule",
            .where = schedule.place.text(),
            .hint = "call `penstock verify` for each of its pipelines, as `penstock status` names them"};
}

}  // namespace

Status add_verify_jobs(const config::Document& document, schedule::Jobs& jobs) {
    for (const auto& config : document.pipelines) {
        const auto& verify = document.scheduling_of(config).verify;
        if (!verify || !config.origin.empty()) continue;
        if (config.for_each) return fail(one_of_many(config, verify->schedule));
        PN_TRY(auto pipeline, Pipeline::find(document, config.name));
        if (auto can = pipeline.check_comparable(); !can)
            return fail(std::move(can.error()).at(verify->schedule.place.text()));
        auto times = schedule::Times::read(verify->schedule.value, verify->timezone.value);
        if (!times) return fail(std::move(times.error()).at(verify->schedule.place.text()));
        const auto& runs = jobs.at(config.name);
        schedule::Job job{.pipeline = config.name + std::string(suffix),
                          .times = *times,
                          .catchup = config::Catchup::one,
                          .pool = runs.pool,
                          .priority = runs.priority,
                          .held_alone = runs.held_alone};
        jobs.emplace(job.pipeline, job);
    }
    return {};
}

const config::PipelineConfig* verified_pipeline(const config::Document& document, std::string_view job) {
    return document.pipeline(pipeline_of(job));
}

std::vector<std::string> verify_command(std::string_view job) {
    auto pipeline = pipeline_of(job);
    if (pipeline.empty()) return {};
    return {"verify", std::string(pipeline), "--part", "next"};
}

}  // namespace penstock::app
