#include "app/schedule/backup_jobs.h"

#include <utility>

#include "app/schedule/interval_run.h"

namespace penstock::app {
namespace {

constexpr std::string_view full = backup_kinds[0], incremental = backup_kinds[1], drill = backup_kinds[2];

Status add_job(const config::Backup& backup, std::string_view kind, schedule::Jobs& jobs) {
    schedule::Job job{.pipeline = backup_job(backup, kind),
                      .times = {},
                      .catchup = config::Catchup::one,
                      .held_alone = "backup " + backup.name};
    if (const auto* when = times_of(backup, kind)) {
        auto times = schedule::Times::read(when->schedule.value, when->timezone.value);
        if (!times) return fail(std::move(times.error()).at(when->schedule.place.text()));
        job.times = *times;
    }
    jobs.emplace(job.pipeline, job);
    return {};
}

}  // namespace

std::string backup_job(const config::Backup& backup, std::string_view kind) {
    return backup.name + ":" + std::string(kind);
}

const config::Times* times_of(const config::Backup& backup, std::string_view kind) {
    auto where_given = [](const auto& times) { return times ? &*times : nullptr; };
    const config::Times* times = kind == full          ? where_given(backup.full)
                                 : kind == incremental ? where_given(backup.incremental)
                                                       : &backup.drill;
    return times == nullptr || times->schedule.empty() ? nullptr : times;
}

Status add_backup_jobs(const config::Document& document, schedule::Jobs& jobs) {
    for (const auto& backup : document.backups)
        for (auto kind : backup_kinds) PN_CHECK(add_job(backup, kind, jobs));
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
    else if (*done != 0)
        error = Error{.kind = ErrorKind::check_failed,
                      .code = "",
                      .message = is_drill(interval->interval().pipeline)
                                     ? "it found something wrong, which its report names"
                                     : "a check failed"};
    PN_CHECK(interval->end(error));
    return done;
}

}  // namespace penstock::app
