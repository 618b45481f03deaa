#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "app/backup_place.h"
#include "app/commands.h"
#include "app/output.h"
#include "app/recovery_target.h"
#include "app/run_history.h"
#include "backup/recovery.h"
#include "backup/restore.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::steady_clock;

using Kind = backup::RecoveryTarget::Kind;

std::string shell_quoted(const std::string& text) {
    std::string out = "'";
    for (char c : text) out += c == '\'' ? "'\\''" : c == '%' ? "%%" : std::string(1, c);
    return out + "'";
}

/// By which the restored server asks this program for its log; the configuration's references have to mean the same there.
std::string restore_command(const Session& session, const config::Document& document) {
    namespace fs = std::filesystem;
    std::error_code failed;
    auto program = fs::read_symlink("/proc/self/exe", failed);
    return fmt::format("{} --file {} --quiet backup wal-fetch {} %f \"%p\"",
                       failed ? "penstock" : shell_quoted(program.string()),
                       shell_quoted(fs::absolute(document.file).lexically_normal().string()),
                       shell_quoted(session.options.names.front()));
}

Json recovery_json(const std::optional<backup::Recovery>& recovery) {
    if (!recovery) return nullptr;
    constexpr const char* kinds[] = {"latest", "time", "lsn", "name", "xid"};
    const auto& target = recovery->target;
    return {{"target", kinds[static_cast<int>(target.kind)]},
            {"to", target.kind == Kind::latest ? Json(nullptr) : Json(target.text)},
            {"timeline", recovery->timeline},
            {"reach_lsn", recovery->reach.text()},
            {"reach_time", recovery->reach_time ? Json(iso_time(*recovery->reach_time)) : Json(nullptr)},
            {"gap_to_lsn", recovery->gap_to ? Json(recovery->gap_to->text()) : Json(nullptr)}};
}

Json plan_json(const backup::RestorePlan& plan, bool done) {
    Json tablespaces = Json::array();
    for (const auto& one : plan.tablespaces)
        tablespaces.push_back({{"oid", one.oid}, {"was_at", one.was_at}, {"into", one.into.string()}});
    Json json = backup_json(plan.record);
    json["into"] = plan.into.string();
    json["tablespaces"] = tablespaces;
    json["recovery"] = recovery_json(plan.recovery);
    json["needs_bytes"] = plan.bytes;
    json["free_bytes"] = plan.free_bytes;
    json["restored"] = done;
    return json;
}

/// What state it will be, and what will not be in it.
std::string state_text(const backup::RestorePlan& plan) {
    const auto& record = plan.record;
    if (!plan.recovery)
        return fmt::format(
            "  as it was at {} (before {} UTC), on a timeline after {}\n  not in it: whatever was committed behind "
            "{}\n",
            record.end_lsn, moment(record.ended_at), record.end_timeline, record.end_lsn);
    const auto& recovery = *plan.recovery;
    const auto& target = recovery.target;
    std::string last =
        recovery.reach_time ? fmt::format(", whose last transaction ended at {}", iso_time(*recovery.reach_time)) : "";
    std::string text = fmt::format("  with the log of timeline {}, stored up to {}{}\n", recovery.timeline,
                                   recovery.reach.text(), last);
    switch (target.kind) {
        case Kind::latest:
            text += "  recovered as far as that reaches; not in it: whatever was committed behind it\n";
            break;
        case Kind::time:
            text += fmt::format("  recovered to {}; not in it: what was committed later\n", iso_time(target.time));
            break;
        case Kind::lsn:
            text += fmt::format("  recovered to {}; not in it: what ended behind it\n", target.lsn.text());
            break;
        case Kind::name: text += fmt::format("  recovered to restore point '{}', and no further\n", target.text); break;
        case Kind::xid: text += fmt::format("  recovered with transaction {}, and no further\n", target.xid); break;
    }
    if (recovery.gap_to)
        text += fmt::format("  the log behind it was given up, up to {}: a later backup gets beyond\n",
                            recovery.gap_to->text());
    return text;
}

std::string plan_text(const backup::RestorePlan& plan, std::string_view verb) {
    const auto& record = plan.record;
    std::string text = fmt::format("{} {} into {}: {} files, {}\n", verb, record.id, plan.into.string(),
                                   humane_count(static_cast<int64_t>(record.files)), humane_bytes(plan.bytes));
    text += fmt::format("  PostgreSQL {}, system {}, ended {} UTC\n", server_version_text(record.server_version),
                        record.system_identifier, moment(record.ended_at));
    text += state_text(plan);
    for (const auto& one : plan.tablespaces)
        text += fmt::format("  tablespace {}: {} instead of {}\n", one.oid, one.into.string(), one.was_at);
    return text;
}

/// What is left to do by hand.
std::string next_steps(const backup::RestorePlan& plan) {
    std::string text;
    if (plan.owner.user == 0)
        text += fmt::format(
            "  it belongs to root, as whom PostgreSQL does not run: chown -R postgres {}\n",
            plan.into.string() + (plan.tablespaces.empty() ? "" : " " + plan.into.string() + ".tablespaces"));
    text += fmt::format("  start it with a free port: postgres -D {} -p 5433\n", plan.into.string());
    if (plan.recovery)
        text +=
            "  it gets its log by `penstock backup wal-fetch`: start it with the environment that the configuration "
            "refers to\n";
    return text;
}

}  // namespace

Result<int> command::backup_restore(const Session& session) {
    PN_TRY(auto target, read_target(session.options));
    PN_TRY(auto place, open_backup(session));
    PN_TRY(auto wanted, backup::plan_recovery(place->catalog, session.options.backup, target));
    PN_TRY(auto plan, backup::plan_restore(std::move(wanted), session.options.into));
    plan.restore_command = restore_command(session, place->document);
    bool preview = session.options.preview;
    auto begin = steady_clock::now();
    if (!preview) PN_CHECK(backup::restore(place->catalog, plan, backup_threads(), session.stop));
    if (session.json()) {
        Json json = plan_json(plan, !preview);
        if (!preview) json["duration_seconds"] = std::chrono::duration<double>(steady_clock::now() - begin).count();
        PN_CHECK(print_json(json));
        return 0;
    }
    std::string text = plan_text(plan, preview ? "would restore" : "restored");
    if (!preview) text += next_steps(plan);
    PN_CHECK(print(text));
    return 0;
}

}  // namespace penstock::app
