#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/backup_place.h"
#include "app/commands.h"
#include "app/output.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/text_table.h"
#include "backup/restore.h"
#include "backup/take.h"
#include "backup/verify.h"
#include "base/humane.h"
#include "base/ids.h"
#include "base/log.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;
using std::chrono::steady_clock;

/// Packing and opening take a core each; the network wants two at least.
unsigned threads() { return std::clamp(std::thread::hardware_concurrency(), 2U, 8U); }

struct Place {
    config::Document document;
    const config::Backup* backup;
    backup::Catalog catalog;
};

Result<std::unique_ptr<Place>> open_place(const Session& session) {
    PN_TRY(auto document, read_project(session));
    PN_TRY(const auto* found, find_backup(document, session.options.names.front()));
    PN_TRY(auto catalog, open_catalog(document, *found));
    auto place = std::make_unique<Place>(Place{std::move(document), nullptr, std::move(catalog)});
    place->backup = place->document.backup(session.options.names.front());
    return place;
}

double seconds_since(steady_clock::time_point begin) {
    return std::chrono::duration<double>(steady_clock::now() - begin).count();
}

std::string version_text(int version) { return fmt::format("{}.{}", version / 10000, version % 10000); }

Json record_json(const backup::BackupRecord& record) {
    return {{"id", record.id},
            {"kind", "full"},
            {"system_identifier", record.system_identifier},
            {"server_version", version_text(record.server_version)},
            {"timeline", record.end_timeline},
            {"started_at", iso_time(record.started_at)},
            {"ended_at", iso_time(record.ended_at)},
            {"start_lsn", record.start_lsn},
            {"end_lsn", record.end_lsn},
            {"files", record.files},
            {"bytes", record.bytes()},
            {"stored_bytes", record.stored_bytes()}};
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
        PN_TRY(verified.report, backup::verify_backup(catalog, *entry.record, threads(), stop));
        return verified;
    }
    if (entry.record.error().code != "backup_damaged") return fail(std::move(entry.record.error()));
    verified.report.faults.push_back({.object = entry.record.error().where,
                                      .what = "is damaged, so that this backup cannot be restored",
                                      .files = {}});
    return verified;
}

Status show_verified(const Session& session, const std::vector<Verified>& all) {
    Json list = Json::array();
    std::string text;
    for (const auto& [id, report] : all) {
        Json faults = Json::array();
        for (const auto& fault : report.faults) faults.push_back(fault_json(fault));
        list.push_back({{"id", id},
                        {"whole", report.faults.empty()},
                        {"objects", report.objects},
                        {"files", report.files},
                        {"bytes", report.bytes},
                        {"faults", faults}});
        text += report.faults.empty()
                    ? fmt::format("{}: whole: {} objects read, {} files as the server's manifest says\n", id,
                                  humane_count(static_cast<int64_t>(report.objects)),
                                  humane_count(static_cast<int64_t>(report.files)))
                    : fmt::format("{}: DAMAGED\n", id);
        for (const auto& fault : report.faults) text += fault_text(fault);
    }
    return session.json() ? print_json({{"backups", list}}) : print(text);
}

Json plan_json(const backup::RestorePlan& plan, bool done) {
    Json tablespaces = Json::array();
    for (const auto& one : plan.tablespaces)
        tablespaces.push_back({{"oid", one.oid}, {"was_at", one.was_at}, {"into", one.into.string()}});
    Json json = record_json(plan.record);
    json["into"] = plan.into.string();
    json["tablespaces"] = tablespaces;
    json["needs_bytes"] = plan.bytes;
    json["free_bytes"] = plan.free_bytes;
    json["restored"] = done;
    return json;
}

std::string plan_text(const backup::RestorePlan& plan, std::string_view verb) {
    const auto& record = plan.record;
    std::string text = fmt::format("{} {} into {}: {} files, {}\n", verb, record.id, plan.into.string(),
                                   humane_count(static_cast<int64_t>(record.files)), humane_bytes(plan.bytes));
    text += fmt::format("  PostgreSQL {}, system {}, as it was at {} (before {} UTC), on a timeline after {}\n",
                        version_text(record.server_version), record.system_identifier, record.end_lsn,
                        moment(record.ended_at), record.end_timeline);
    text += fmt::format("  not in it: whatever was committed behind {}\n", record.end_lsn);
    for (const auto& one : plan.tablespaces)
        text += fmt::format("  tablespace {}: {} instead of {}\n", one.oid, one.into.string(), one.was_at);
    return text;
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

}  // namespace

Result<int> command::backup_run(const Session& session) {
    PN_TRY(auto place, open_place(session));
    PN_TRY(auto server, backup_server(place->document, *place->backup));
    auto begin = steady_clock::now();
    PN_TRY(auto record,
           backup::take_backup(server, place->catalog,
                               {.id = new_run_id(), .name = place->backup->name, .threads = threads()}, session.stop));
    double took = seconds_since(begin);
    put_on_record(place->document, place->backup->name, record);
    if (session.json()) {
        Json json = record_json(record);
        json["duration_seconds"] = took;
        PN_CHECK(print_json(json));
        return 0;
    }
    PN_CHECK(print(fmt::format("{}: {} files, {} stored as {}, in {}; restores the server as it was at {}\n", record.id,
                               humane_count(static_cast<int64_t>(record.files)), humane_bytes(record.bytes()),
                               humane_bytes(record.stored_bytes()),
                               humane_duration(std::chrono::duration<double>(took)), record.end_lsn)));
    return 0;
}

Result<int> command::backup_list(const Session& session) {
    PN_TRY(auto place, open_place(session));
    PN_TRY(auto entries, place->catalog.list());
    Json list = Json::array();
    TextTable table({{.heading = "ID"},
                     {.heading = "ENDED (UTC)"},
                     {.heading = "POSTGRESQL"},
                     {.heading = "TIMELINE", .align = Align::right},
                     {.heading = "AS OF"},
                     {.heading = "FILES", .align = Align::right},
                     {.heading = "BYTES", .align = Align::right},
                     {.heading = "STORED", .align = Align::right},
                     {.heading = "IS"}});
    for (const auto& [id, record] : entries) {
        if (!record) {
            list.push_back({{"id", id}, {"error", error_json(record.error())}});
            table.add({id, "", "", "", "", "", "", "", record.error().message});
            continue;
        }
        list.push_back(record_json(*record));
        table.add({id, moment(record->ended_at), version_text(record->server_version),
                   std::to_string(record->end_timeline), record->end_lsn,
                   humane_count(static_cast<int64_t>(record->files)), humane_bytes(record->bytes()),
                   humane_bytes(record->stored_bytes()), ""});
    }
    if (session.json()) PN_CHECK(print_json({{"backups", list}}));
    else
        PN_CHECK(
            print(entries.empty() ? fmt::format("there is no backup in {}\n", place->catalog.url("")) : table.text()));
    return 0;
}

Result<int> command::backup_verify(const Session& session) {
    PN_TRY(auto place, open_place(session));
    PN_TRY(auto entries, place->catalog.list());
    std::vector<Verified> all;
    bool whole = true;
    for (auto& entry : entries) {
        if (!entry.id.starts_with(session.options.backup)) continue;
        PN_TRY(auto verified, verify_entry(place->catalog, entry, session.stop));
        whole = whole && verified.report.faults.empty();
        all.push_back(std::move(verified));
    }
    if (all.empty())
        return fail(
            {.kind = ErrorKind::check_failed,
             .code = "no_such_backup",
             .message = fmt::format("there is no backup {} in {}", session.options.backup, place->catalog.url("")),
             .hint = "`penstock backup run` takes one; `penstock backup list` shows those that are there"});
    PN_CHECK(show_verified(session, all));
    return whole ? 0 : exit_code(ErrorKind::check_failed);
}

Result<int> command::backup_restore(const Session& session) {
    PN_TRY(auto place, open_place(session));
    PN_TRY(auto record, place->catalog.find(session.options.backup));
    PN_TRY(auto plan, backup::plan_restore(std::move(record), session.options.into));
    bool preview = session.options.preview;
    auto begin = steady_clock::now();
    if (!preview) PN_CHECK(backup::restore(place->catalog, plan, threads(), session.stop));
    if (session.json()) {
        Json json = plan_json(plan, !preview);
        if (!preview) json["duration_seconds"] = seconds_since(begin);
        PN_CHECK(print_json(json));
        return 0;
    }
    std::string text = plan_text(plan, preview ? "would restore" : "restored");
    if (!preview && plan.owner.user == 0)
        text += fmt::format(
            "  it belongs to root, as whom PostgreSQL does not run: chown -R postgres {}\n",
            plan.into.string() + (plan.tablespaces.empty() ? "" : " " + plan.into.string() + ".tablespaces"));
    if (!preview) text += fmt::format("  start it with a free port: postgres -D {} -p 5433\n", plan.into.string());
    PN_CHECK(print(text));
    return 0;
}

}  // namespace penstock::app
