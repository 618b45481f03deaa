#include "app/schedule/backup_jobs.h"

#include <utility>

#include "app/schedule/interval_run.h"

namespace penstock::app {
namespace {

constexpr std::string_view full = "full", incremental = "incremental", drill = "drill";

Status add_job(const config::Backup& backup, std::string_view what, const config::Times& when, schedule::Jobs& jobs) {
    if (when.schedule.empty()) return {};
    auto times = schedule::Times::read(when.schedule.value, when.timezone.value);
    if (!times) return fail(std::move(times.error()).at(when.schedule.place.text()));
    schedule::Job job{.pipeline = backup.name + ":" + std::string(what),
                      .times = *times,
                      .catchup = config::Catchup::one,
                      .held_alone = "backup " + backup.name};
    jobs.emplace(job.pipeline, job);
    return {};
}

}  // namespace

Status add_backup_jobs(const config::Document& document, schedule::Jobs& jobs) {
    for (const auto& backup : document.backups) {
        if (backup.full) PN_CHECK(add_job(backup, full, *backup.full, jobs));
        if (backup.incremental) PN_CHECK(add_job(backup, incremental, *backup.incremental, jobs));
        PN_CHECK(add_job(backup, drill, backup.drill, jobs));
    }
    return {};
}

const config::Backup* backup_of(const config::Document& document, std::string_view job) {
    return backup_command(job).empty() ? nullptr : document.backup(job.substr(0, job.find(':')));
}

bool is_drill(std::string_view job) { return job.substr(job.find(':') + 1) == drill; }

std::vector<std::string> backup_command(std::string_view job) {
    auto colon = job.find(':');
    if (colon == job.npos) return {};
    auto what = job.substr(colon + 1);
    if (what != full && what != incremental && what != drill) return {};
    std::vector<std::string> words = {"backup", is_drill(job) ? "drill" : "run", std::string(job.substr(0, colon))};
    if (what == incremental) words.emplace_back("--incremental");
    return words;
}

Result<int> in_interval(const Session& session, const config::Document& document,
                        const std::function<Result<int>()>& run, const std::function<void(const Error&)>& tell) {
    PN_TRY(auto interval, IntervalRun::begin(session, document));
    auto done = run();
    if (!interval) return done;
    if (!done && !interval->is_tried_again(done.error())) tell(done.error());
    std::optional<Error> error;
    if (!done) error = done.error();
    else if (*done != 0) error = Error{.kind = ErrorKind::check_failed, .code = "", .message = "a check failed"};
    PN_CHECK(interval->end(error));
    return done;
}

}  // namespace penstock::app
