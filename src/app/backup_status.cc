#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "app/backup_place.h"
#include "app/drill/stored_drills.h"
#include "app/output.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/run_json.h"
#include "backup/recovery.h"
#include "base/humane.h"
#include "connect/postgres/replication/slot.h"
#include "connect/postgres/session.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Seconds = std::chrono::duration<double>;

/// A goal, and what was measured; `seconds` nothing: it could not be, so no goal holds.
struct Goal {
    std::optional<double> goal, seconds;
    std::string from;  ///< how it was measured, or why it was not
    /// Nothing where there is no goal.
    std::optional<bool> holds() const { return goal ? std::optional(seconds && *seconds <= *goal) : std::nullopt; }
};

struct BackupStatus {
    std::string name;
    std::optional<std::string> newest;    ///< backup that would be restored
    std::optional<TimePoint> held_until;  ///< what was committed until then can be restored
    Goal rto, rpo;
    std::optional<TimePoint> breaks_at;  ///< when the RPO's goal does not hold any more unless something new is stored

    bool holds() const { return rto.holds().value_or(true) && rpo.holds().value_or(true); }
};

std::optional<double> seconds_of(const std::optional<std::chrono::microseconds>& time) {
    return time ? std::optional(Seconds(*time).count()) : std::nullopt;
}

/// Whether the store has all of the log that the server has: then nothing would be lost, however long nobody wrote. False where
/// the server does not answer.
bool has_all(const config::Document& document, const config::Backup& backup, const backup::RecoveryPlan& plan,
             const std::stop_token& stop) {
    if (!plan.recovery) return false;
    auto server = backup_server(document, backup);
    if (!server) return false;
    auto session =
        postgres::Session::connect(*server, "penstock backup status", stop, postgres::Session::Channel::replication);
    auto there = session ? postgres::identify_system(**session) : fail(session.error());
    return there && there->system == plan.backup.system_identifier && there->timeline == plan.recovery->timeline &&
           there->flushed <= plan.recovery->reach;
}

/// The newest state that a restore gets to, and how far that is from now.
void measure_rpo(const config::Document& document, const config::Backup& backup, const backup::RecoveryPlan& plan,
                 BackupStatus& status, const std::stop_token& stop) {
    auto at = now();
    status.newest = plan.backup.id;
    if (has_all(document, backup, plan, stop)) {
        status.held_until = at;
        status.rpo.from = "the store has all of the server's log";
    } else {
        status.held_until = plan.backup.ended_at;
        status.rpo.from = "since the newest backup ended";
        if (plan.recovery && plan.recovery->reach_time && *plan.recovery->reach_time > *status.held_until) {
            status.held_until = plan.recovery->reach_time;
            status.rpo.from = "since the last transaction in the stored log";
        }
    }
    status.rpo.seconds = std::max(0.0, Seconds(at - *status.held_until).count());
    if (auto goal = backup.goals().rpo) status.breaks_at = *status.held_until + *goal;
}

/// What the last drill measured; else what taking the backup took, which is about what reading it takes.
Status measure_rto(const backup::Catalog& catalog, const backup::RecoveryPlan& plan, BackupStatus& status) {
    auto drill = last_drill(catalog);
    if (!drill && drill.error().code != "backup_damaged") return fail(std::move(drill.error()));
    if (!drill) {
        status.rto.from = "the last drill's report is damaged";
    } else if (!*drill) {
        Seconds taken = plan.backup.ended_at - plan.backup.started_at;
        for (const auto& parent : plan.parents) taken += parent.ended_at - parent.started_at;
        status.rto.seconds = taken.count();
        status.rto.from = "an estimate by what the backup took, without its log: there was no drill yet";
    } else if ((*drill)->passed) {
        status.rto.seconds = (*drill)->rto;
        status.rto.from = fmt::format("the drill that ended at {}", (*drill)->ended_at);
    } else {
        status.rto.from = fmt::format("the last drill failed: {}", (*drill)->id);
    }
    return {};
}

Result<BackupStatus> look_at(const config::Document& document, const config::Backup& backup,
                             const std::stop_token& stop) {
    auto goals = backup.goals();
    BackupStatus status{.name = backup.name};
    status.rto.goal = seconds_of(goals.rto);
    status.rpo.goal = seconds_of(goals.rpo);
    PN_TRY(auto catalog, open_catalog(document, backup));
    auto plan = backup::plan_recovery(catalog, "", {});
    if (!plan && plan.error().kind == ErrorKind::unavailable) return fail(std::move(plan.error()));
    if (!plan) {
        status.rto.from = status.rpo.from = "nothing can be restored: " + plan.error().message;
        return status;
    }
    measure_rpo(document, backup, *plan, status, stop);
    PN_CHECK(measure_rto(catalog, *plan, status));
    return status;
}

Json goal_json(const Goal& goal) {
    auto holds = goal.holds();
    return {{"seconds", known_json(goal.seconds)},
            {"goal_seconds", known_json(goal.goal)},
            {"holds", holds ? Json(*holds) : Json(nullptr)},
            {"from", goal.from}};
}

std::string goal_text(std::string_view name, const Goal& goal) {
    auto text = [](double seconds) { return humane_duration(Seconds(seconds)); };
    auto holds = goal.holds();
    return fmt::format("  {}: {}{}; {}\n", name, goal.seconds ? text(*goal.seconds) : "unknown",
                       goal.goal ? fmt::format(", {} {}", *holds ? "within" : "BEYOND", text(*goal.goal)) : "",
                       goal.from);
}

std::string status_text(const BackupStatus& status) {
    std::string text = fmt::format("{}: {}\n", status.name,
                                   !status.rto.goal && !status.rpo.goal ? "no goals are set"
                                   : status.holds()                     ? "recovery is as it should be"
                                                                        : "recovery is NOT as it should be");
    text += goal_text("RPO", status.rpo);
    if (status.breaks_at && status.rpo.holds().value_or(false))
        text += fmt::format("    beyond it from {} UTC on, where nothing more is stored\n", moment(*status.breaks_at));
    return text + goal_text("RTO", status.rto);
}

}  // namespace

Result<int> command::backup_status(const Session& session) {
    PN_TRY(auto document, read_project(session));
    std::vector<const config::Backup*> wanted;
    if (session.options.names.empty())
        for (const auto& backup : document.backups) wanted.push_back(&backup);
    for (const auto& name : session.options.names) {
        PN_TRY(const auto* found, find_backup(document, name));
        wanted.push_back(found);
    }
    Json list = Json::array();
    std::string text;
    bool all_hold = true;
    for (const auto* backup : wanted) {
        PN_TRY(auto status, look_at(document, *backup, session.stop));
        all_hold = all_hold && status.holds();
        text += status_text(status);
        list.push_back({{"name", status.name},
                        {"holds", status.holds()},
                        {"backup", status.newest ? Json(*status.newest) : Json(nullptr)},
                        {"held_until", known_json(status.held_until)},
                        {"rpo", goal_json(status.rpo)},
                        {"rpo_breaks_at", known_json(status.breaks_at)},
                        {"rto", goal_json(status.rto)}});
    }
    PN_CHECK(session.json() ? print_json({{"backups", list}}) : print(text));
    return all_hold ? 0 : exit_code(ErrorKind::check_failed);
}

}  // namespace penstock::app
