#include "app/schedule/jobs.h"

#include "app/components.h"
#include "app/schedule/backup_jobs.h"
#include "app/schedule/sensors.h"
#include "app/schedule/verify_jobs.h"
#include "app/work/work.h"

namespace penstock::app {
namespace {

Error at(Error error, const config::Text& place) {
    error.where = place.place.text();
    return error;
}

/// What nobody else may have while the pipeline runs; "" nothing.
std::string place_held_by(const config::Document& document, const config::PipelineConfig& pipeline) {
    const auto* written =
        document.connection(pipeline.work() == nullptr ? pipeline.target_connection : written_connection(pipeline));
    return written == nullptr ? "" : held_alone(*written);
}

}  // namespace

Result<Zone> zone_of(const config::Document& document, const config::PipelineConfig& pipeline) {
    const auto* by = document.scheduled_by(pipeline);
    if (by == nullptr || by->timezone.empty()) return Zone();
    return Zone::find(by->timezone.value);
}

Result<schedule::Jobs> scheduled_jobs(const config::Document& document) {
    schedule::Jobs jobs;
    for (const auto& pipeline : document.pipelines) {
        const auto& more = document.scheduling_of(pipeline);
        PN_CHECK(validate_sensors(document, pipeline));
        schedule::Job job{.pipeline = pipeline.name,
                          .pool = more.pool.value,
                          .priority = more.priority,
                          .held_alone = place_held_by(document, pipeline),
                          .sla = more.sla};
        for (const auto& before : pipeline.after) job.after.push_back(before.value);
        if (const auto* by = document.scheduled_by(pipeline)) {
            auto times = schedule::Times::read(by->schedule.value, by->timezone.value);
            if (!times) return fail(at(std::move(times.error()), by->schedule));
            job.times = *times;
            job.catchup = by->catchup;
            if (const auto& first = document.scheduling_of(*by).start_date; !first.empty()) {
                PN_TRY(auto zone, zone_of(document, pipeline));
                auto start = schedule::read_moment(first.value, zone);
                if (!start) return fail(at(std::move(start.error()), first));
                job.start_date = *start;
            }
        }
        jobs.emplace(pipeline.name, std::move(job));
    }
    PN_CHECK(add_verify_jobs(document, jobs));
    PN_CHECK(add_backup_jobs(document, jobs));
    return jobs;
}

}  // namespace penstock::app
