#include "app/http/api_backups.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "app/http/kept_answers.h"
#include "app/operate/backup_view.h"
#include "app/own_process.h"
#include "app/schedule/backup_jobs.h"
#include "app/schedule/jobs.h"
#include "state/intervals.h"

namespace penstock::app::http {
namespace {

using Ordered = nlohmann::ordered_json;
using In = ApiParameter::In;
using Type = ApiParameter::Type;
using config::Role;

/// A page waits for it; whoever has more patience has the command.
constexpr std::chrono::seconds store_time{20};

Result<const config::Backup*> backup_in(const ApiCall& call) {
    if (const auto* found = call.document.backup(call.text("backup"))) return found;
    return fail(not_found(fmt::format("there is no backup '{}'", call.text("backup"))));
}

/// Of the call's backup: what the state knows to have happened, so that what came of it is seen at once.
Result<std::string> version_of(const ApiCall& call, const config::Backup& backup) {
    PN_TRY(auto all, view_backups(call.document));
    auto view = std::ranges::find(all, &backup, &BackupView::backup);
    std::string version;
    for (const auto& moment : {view->newest_at, view->drill_at}) version += moment ? iso_time(*moment) + " " : "- ";
    for (const auto& job : view->jobs) version += job.last ? iso_time(job.last->ended_at) + " " : "- ";
    return version;
}

/// What a command says of the call's backup, or said a moment ago.
Result<Ordered> ask_store(const ApiCall& call, std::vector<std::string> command, int also_good = 0) {
    PN_TRY(const auto* backup, backup_in(call));
    PN_TRY(auto version, version_of(call, *backup));
    auto key = fmt::format("{}", fmt::join(command, " "));
    return call.kept.get(key, version, [&]() -> Result<Ordered> {
        auto answer = ask_own(call.session, command, store_time, also_good);
        if (!answer && answer.error().code == "took_too_long")
            answer.error().message =
                fmt::format("the store of {} did not answer within {} seconds", backup->name, store_time.count());
        return answer;
    });
}

Result<Ordered> list_configured(const ApiCall& call) {
    PN_TRY(auto all, view_backups(call.document));
    return Ordered{{"backups", backups_json(all)}};
}

Result<Ordered> list_stored(const ApiCall& call) { return ask_store(call, {"backup", "list", call.text("backup")}); }

Result<Ordered> show_status(const ApiCall& call) {
    PN_TRY(auto all, ask_store(call, {"backup", "status", call.text("backup")}, exit_code(ErrorKind::check_failed)));
    return Ordered{{"status", all["backups"].front()}, {"asked_at", all["asked_at"]}, {"trouble", all["trouble"]}};
}

Result<Ordered> list_drills(const ApiCall& call) {
    return ask_store(call, {"backup", "drills", "--most", "50", call.text("backup")});
}

Result<Ordered> show_drill(const ApiCall& call) {
    return ask_store(call, {"backup", "drills", "--", call.text("backup"), call.text("drill")});
}

Result<std::string> job_in(const ApiCall& call) {
    PN_TRY(const auto* backup, backup_in(call));
    if (std::ranges::find(backup_kinds, call.text("job")) == backup_kinds.end())
        return fail(not_found(
            fmt::format("there is no '{}' of a backup, but {}", call.text("job"), fmt::join(backup_kinds, ", "))));
    return backup_job(*backup, call.text("job"));
}

Result<Ordered> run_job(const ApiCall& call) {
    PN_TRY(auto job, job_in(call));
    PN_TRY(auto intervals, state::Intervals::open(call.document.state.reveal(), call.document.state_directory));
    PN_TRY(auto open, intervals.situation());
    // What waits or runs will do: two drills one after the other say no more than one.
    auto is_open = [&](const auto& one) { return one.pipeline == job && schedule::is_open(one.state); };
    if (std::ranges::any_of(open, is_open)) return Ordered{{"job", job}, {"requested", 0}};
    schedule::Interval one{.pipeline = job, .end = now(), .origin = schedule::Origin::manual, .made_at = now()};
    one.start = one.end - std::chrono::seconds(1);
    PN_TRY(auto taken, intervals.request(std::array{one}));
    return Ordered{{"job", job}, {"requested", taken}};
}

Result<Ordered> set_job_paused(const ApiCall& call, bool paused) {
    PN_TRY(auto job, job_in(call));
    PN_TRY(auto intervals, state::Intervals::open(call.document.state.reveal(), call.document.state_directory));
    PN_CHECK(paused ? intervals.pause(job, call.actor) : intervals.resume(job));
    return Ordered{{"job", job}, {"paused", paused}};
}
Result<Ordered> pause_job(const ApiCall& call) { return set_job_paused(call, true); }
Result<Ordered> resume_job(const ApiCall& call) { return set_job_paused(call, false); }

const ApiParameter backup_in_path{"backup", In::path, Type::text, "One of the configuration's backups.", true};

ApiRoute looking(std::string_view path, std::string_view name, std::string_view doc, std::string_view member,
                 std::string_view member_is, Result<Ordered> (*handle)(const ApiCall&)) {
    return {"GET", path, name, Role::viewer, doc, {backup_in_path}, member, member_is, handle, true};
}

ApiRoute acting(std::string_view path, std::string_view name, std::string_view doc, std::string_view member,
                std::string_view member_is, Result<Ordered> (*handle)(const ApiCall&)) {
    ApiParameter job{"job", In::path, Type::text, "full, incremental or drill.", true};
    return {"POST", path, name, Role::operate, doc, {backup_in_path, job}, member, member_is, handle};
}

}  // namespace

std::vector<ApiRoute> backup_routes() {
    auto drill = looking("/backups/{backup}/drills/{drill}", "showDrill",
                         "A drill's report: phases, queries with their values, pages, differences. The store is asked.",
                         "id", "string", show_drill);
    drill.role = Role::operate;  // values of rows are in it
    drill.parameters.push_back({"drill", In::path, Type::text, "The drill's id.", true});
    return {
        {"GET",
         "/backups",
         "listConfiguredBackups",
         Role::viewer,
         "The configuration's backups with their goals, newest backup, last drill and jobs, of what the state knows.",
         {},
         "backups",
         "array",
         list_configured},
        looking("/backups/{backup}", "listBackups", "What can be restored. The store is asked.", "backups", "array",
                list_stored),
        looking("/backups/{backup}/status", "showBackupStatus",
                "What a recovery would take and lose now, and whether the goals hold. Store and server are asked.",
                "status", "object", show_status),
        looking("/backups/{backup}/drills", "listDrills",
                "The last fifty drills, the newest first: verdict, RTO, RPO. The store is asked.", "drills", "array",
                list_drills),
        drill,
        acting("/backups/{backup}/jobs/{job}/run", "runBackupJob",
               "Takes a backup or drills as soon as a worker is free; 0 where that is about to be done anyway.",
               "requested", "integer", run_job),
        acting("/backups/{backup}/jobs/{job}/pause", "pauseBackupJob", "Keeps it from being begun.", "paused",
               "boolean", pause_job),
        acting("/backups/{backup}/jobs/{job}/resume", "resumeBackupJob", "Lets it begin again.", "paused", "boolean",
               resume_job)};
}

}  // namespace penstock::app::http
