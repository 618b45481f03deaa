#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <ranges>
#include <set>

#include "app/backup_place.h"
#include "app/commands.h"
#include "app/operate/courier.h"
#include "app/operate/news.h"
#include "app/output.h"
#include "app/run_history.h"
#include "app/schedule/backup_jobs.h"
#include "app/text_table.h"
#include "backup/prune.h"
#include "backup/recovery_window.h"
#include "backup/take.h"
#include "backup/verify.h"
#include "backup/verify_wal.h"
#include "base/humane.h"
#include "base/ids.h"
#include "base/log.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;
using std::chrono::steady_clock;

double seconds_since(steady_clock::time_point begin) {
    return std::chrono::duration<double>(steady_clock::now() - begin).count();
}

Json fault_json(const backup::Fault& fault) {
    return {{"object", fault.object.empty() ? Json(nullptr) : Json(fault.object)},
            {"what", fault.what},
            {"files", fault.files}};
}

std::string fault_text(const backup::Fault& fault) {
    constexpr size_t most_files = 10;
    std::string text = fault.object.empty() ? "" : fmt::format("  {} {}\n", fault.object, fault.what);
    for (size_t i = 0; i < fault.files.size() && i < most_files; ++i)
        text += fault.object.empty() ? fmt::format("  file {} {}\n", fault.files[i], fault.what)
                                     : fmt::format("    in it: {}\n", fault.files[i]);
    if (fault.files.size() > most_files)
        text += fmt::format("    and {} more files\n", fault.files.size() - most_files);
    return text;
}

/// One backup of those that are to be verified, and what came of it.
struct Verified {
    std::string id;
    backup::VerifyReport report;
};

Result<Verified> verify_entry(const backup::Catalog& catalog, backup::Catalog::Entry& entry,
                              const std::stop_token& stop) {
    Verified verified{.id = entry.id};
    if (entry.record) {
        PN_TRY(verified.report, backup::verify_backup(catalog, *entry.record, backup_threads(), stop));
        return verified;
    }
    if (entry.record.error().code != "backup_damaged") return fail(std::move(entry.record.error()));
    verified.report.faults.push_back({.object = entry.record.error().where,
                                      .what = "is damaged, so that this backup cannot be restored",
                                      .files = {}});
    return verified;
}

/// A backup that is built on one that is damaged or gone cannot be restored, however whole it is itself.
void note_broken_chain(const backup::Catalog& catalog, const backup::BackupRecord& record,
                       const std::vector<Verified>& before, backup::VerifyReport& report) {
    if (record.parent.empty()) return;
    auto parent = std::ranges::find(before, record.parent, &Verified::id);
    if (parent != before.end() && parent->report.faults.empty()) return;
    report.faults.push_back(
        {.object = catalog.url(fmt::format("catalog/{}.json", record.parent)),
         .what = fmt::format("is {}, and this backup is built on it", parent == before.end() ? "missing" : "damaged"),
         .files = {}});
}

/// Those whose id begins so, and what they are built on.
std::set<std::string> chosen(const std::vector<backup::Catalog::Entry>& entries, const std::string& id) {
    std::set<std::string> wanted;
    for (const auto& entry : entries | std::views::reverse) {
        if (!entry.id.starts_with(id) && !wanted.contains(entry.id)) continue;
        wanted.insert(entry.id);
        if (entry.record && !entry.record->parent.empty()) wanted.insert(entry.record->parent);
    }
    return wanted;
}

Json faults_json(const std::vector<backup::Fault>& faults) {
    Json list = Json::array();
    for (const auto& fault : faults) list.push_back(fault_json(fault));
    return list;
}

Json wal_json(const std::optional<backup::WalVerifyReport>& wal) {
    if (!wal) return nullptr;
    Json stretches = Json::array();
    for (const auto& one : wal->stretches)
        stretches.push_back({{"timeline", one.timeline}, {"from_lsn", one.from.text()}, {"to_lsn", one.to.text()}});
    return {{"whole", wal->faults.empty()},
            {"objects", wal->objects},
            {"bytes", wal->bytes},
            {"stretches", stretches},
            {"faults", faults_json(wal->faults)}};
}

std::string wal_text(const backup::WalVerifyReport& wal) {
    std::string text = wal.faults.empty() ? fmt::format("log: whole: {} objects read\n",
                                                        humane_count(static_cast<int64_t>(wal.objects)))
                                          : "log: DAMAGED\n";
    for (const auto& one : wal.stretches)
        text += fmt::format("  timeline {}: {} to {}\n", one.timeline, one.from.text(), one.to.text());
    for (const auto& fault : wal.faults) text += fault_text(fault);
    return text;
}

Status show_verified(const Session& session, const std::vector<Verified>& all,
                     const std::optional<backup::WalVerifyReport>& wal) {
    Json list = Json::array();
    std::string text;
    for (const auto& [id, report] : all) {
        list.push_back({{"id", id},
                        {"whole", report.faults.empty()},
                        {"objects", report.objects},
                        {"files", report.files},
                        {"bytes", report.bytes},
                        {"faults", faults_json(report.faults)}});
        text += report.faults.empty()
                    ? fmt::format("{}: whole: {} objects read, {} files as the server's manifest says\n", id,
                                  humane_count(static_cast<int64_t>(report.objects)),
                                  humane_count(static_cast<int64_t>(report.files)))
                    : fmt::format("{}: DAMAGED\n", id);
        for (const auto& fault : report.faults) text += fault_text(fault);
    }
    if (wal) text += wal_text(*wal);
    return session.json() ? print_json({{"backups", list}, {"wal", wal_json(wal)}}) : print(text);
}

Json window_json(const std::optional<backup::RecoveryWindow>& window) {
    if (!window) return nullptr;
    return {{"timeline", window->timeline},
            {"to_lsn", window->to.text()},
            {"to_time", window->to_time ? Json(iso_time(*window->to_time)) : Json(nullptr)},
            {"missing", window->missing}};
}

std::string window_text(const std::optional<backup::RecoveryWindow>& window) {
    if (!window) return "";
    std::string text = window->to_time ? moment(*window->to_time) : window->to.text();
    return text + (window->missing ? ", then log is MISSING" : "");
}

/// For metrics; nothing is made for it where there is no state.
void put_on_record(const config::Document& document, const std::string& name, const backup::BackupRecord& record) {
    auto measures = state::Measures::open_existing(document.state.reveal(), document.state_directory);
    auto kept = measures ? Status{} : Status(fail(measures.error()));
    if (measures && *measures)
        kept = (*measures)->set({.owner = name,
                                 .kind = state::Measure::Kind::backup_at,
                                 .amount = record.ended_at.time_since_epoch().count(),
                                 .measured_at = now()});
    if (!kept) log::warning("metrics do not know of the backup: {}", kept.error().message);
}

/// Behind a scheduled full backup: what it made superfluous goes.
void prune_behind(const BackupPlace& place, const std::stop_token& stop) {
    const auto& keep = place.backup->keep;
    if (!keep) return;
    auto pruned = [&]() -> Status {
        PN_TRY(auto plan, backup::plan_prune(place.catalog, {.days = keep->days, .full = keep->full}, now()));
        if (!plan.unreadable.empty())
            log::warning("{}: nothing is removed beside entries that cannot be read: {}", place.backup->name,
                         fmt::join(plan.unreadable, ", "));
        if (plan.empty()) return {};
        PN_CHECK(backup::prune(place.catalog, plan, stop));
        log::info("{}: removed {} old backups, {} objects, {}", place.backup->name, plan.what.backups.size(),
                  plan.objects, humane_bytes(plan.bytes));
        return {};
    }();
    if (!pruned) log::warning("{}: old backups were not removed: {}", place.backup->name, pruned.error().message);
}

/// Says whether it is a full one.
Result<int> take(const Session& session, const BackupPlace& place, bool& full) {
    PN_TRY(auto server, backup_server(place.document, *place.backup));
    auto begin = steady_clock::now();
    PN_TRY(auto record, backup::take_backup(server, place.catalog,
                                            {.id = new_run_id(),
                                             .name = place.backup->name,
                                             .threads = backup_threads(),
                                             .incremental = session.options.incremental},
                                            session.stop));
    double took = seconds_since(begin);
    put_on_record(place.document, place.backup->name, record);
    full = record.parent.empty();
    if (session.json()) {
        Json json = backup_json(record);
        json["duration_seconds"] = took;
        PN_CHECK(print_json(json));
        return 0;
    }
    PN_CHECK(print(fmt::format("{}: {}: {} files, {} stored as {}, in {}; restores the server as it was at {}\n",
                               record.id, record.kind(), humane_count(static_cast<int64_t>(record.files)),
                               humane_bytes(record.bytes()), humane_bytes(record.stored_bytes()),
                               humane_duration(std::chrono::duration<double>(took)), record.end_lsn)));
    return 0;
}

}  // namespace

Result<int> command::backup_run(const Session& session) {
    PN_TRY(auto place, open_backup(session));
    bool full = false;
    auto tell = [&](const Error& error) {
        News(place->document).backup_failed(*place->backup, session.options.interval, error);
        carry_news(place->document, session.stop);
    };
    auto done = in_interval(session, place->document, [&] { return take(session, *place, full); }, tell);
    if (done && full && !session.options.interval.empty()) prune_behind(*place, session.stop);
    return done;
}

Result<int> command::backup_list(const Session& session) {
    PN_TRY(auto place, open_backup(session));
    PN_TRY(auto entries, place->catalog.list());
    auto windows = backup::recovery_windows(place->catalog, entries);
    // Whoever looks at a damaged store has to see what is whole in it.
    bool damaged = !windows && windows.error().code == "backup_damaged";
    if (!windows && !damaged) return fail(std::move(windows.error()));
    Json list = Json::array();
    TextTable table({{.heading = "ID"},
                     {.heading = "KIND"},
                     {.heading = "ENDED (UTC)"},
                     {.heading = "POSTGRESQL"},
                     {.heading = "TIMELINE", .align = Align::right},
                     {.heading = "AS OF"},
                     {.heading = "RECOVERABLE TO"},
                     {.heading = "FILES", .align = Align::right},
                     {.heading = "BYTES", .align = Align::right},
                     {.heading = "STORED", .align = Align::right},
                     {.heading = "IS"}});
    for (size_t i = 0; i < entries.size(); ++i) {
        const auto& [id, record] = entries[i];
        if (!record) {
            list.push_back({{"id", id}, {"error", error_json(record.error())}});
            table.add({id, "", "", "", "", "", "", "", "", "", record.error().message});
            continue;
        }
        Json json = backup_json(*record);
        json["recoverable"] = damaged ? Json(nullptr) : window_json((*windows)[i]);
        list.push_back(std::move(json));
        table.add({id, std::string(record->kind()), moment(record->ended_at),
                   server_version_text(record->server_version), std::to_string(record->end_timeline), record->end_lsn,
                   damaged ? "log is DAMAGED" : window_text((*windows)[i]),
                   humane_count(static_cast<int64_t>(record->files)), humane_bytes(record->bytes()),
                   humane_bytes(record->stored_bytes()), ""});
    }
    if (session.json()) {
        Json log = damaged ? Json{{"error", error_json(windows.error())}} : Json(nullptr);
        PN_CHECK(print_json({{"backups", list}, {"wal", log}}));
        return 0;
    }
    auto text = entries.empty() ? fmt::format("there is no backup in {}\n", place->catalog.url("")) : table.text();
    if (damaged) text += fmt::format("log: {}\n", windows.error().message);
    PN_CHECK(print(text));
    return 0;
}

Result<int> command::backup_verify(const Session& session) {
    PN_TRY(auto place, open_backup(session));
    PN_TRY(auto entries, place->catalog.list());
    auto wanted = chosen(entries, session.options.backup);
    std::vector<Verified> all;
    bool whole = true;
    for (auto& entry : entries) {
        if (!wanted.contains(entry.id)) continue;
        PN_TRY(auto verified, verify_entry(place->catalog, entry, session.stop));
        if (entry.record) note_broken_chain(place->catalog, *entry.record, all, verified.report);
        whole = whole && verified.report.faults.empty();
        all.push_back(std::move(verified));
    }
    if (all.empty())
        return fail(
            {.kind = ErrorKind::check_failed,
             .code = "no_such_backup",
             .message = fmt::format("there is no backup {} in {}", session.options.backup, place->catalog.url("")),
             .hint = "`penstock backup run` takes one; `penstock backup list` shows those that are there"});
    std::optional<backup::WalVerifyReport> wal;
    if (session.options.backup.empty()) {
        PN_TRY(wal, backup::verify_wal(place->catalog, session.stop));
        whole = whole && (!wal || wal->faults.empty());
    }
    PN_CHECK(show_verified(session, all, wal));
    return whole ? 0 : exit_code(ErrorKind::check_failed);
}

}  // namespace penstock::app
