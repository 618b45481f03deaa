#include "app/drill/drill_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/backup_place.h"
#include "app/output.h"
#include "base/assert.h"
#include "base/humane.h"
#include "base/version.h"
#include "io/object_store.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t most_differences = 20;

template <class T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json or_null(const std::optional<TimePoint>& time) { return time ? Json(iso_time(*time)) : Json(nullptr); }
Json or_null(const std::optional<Error>& error) { return error ? error_json(*error) : Json(nullptr); }

Json relation_json(const RelationName& name) {
    return {{"database", name.database},
            {"relation", name.relation},
            {"kind", name.kind},
            {"table", name.table.empty() ? name.relation : name.table}};
}

Json restored_json(const DrillReport& report) {
    if (!report.record) return nullptr;
    Json json = backup_json(*report.record);
    const auto& recovery = report.recovery;
    bool to_time = recovery && recovery->target.kind == backup::RecoveryTarget::Kind::time;
    json["target"] = to_time ? "time" : "latest";
    json["to"] = to_time ? Json(recovery->target.text) : Json(nullptr);
    json["log_to_lsn"] = recovery ? Json(recovery->reach.text()) : Json(nullptr);
    json["log_to_time"] = recovery ? or_null(recovery->reach_time) : Json(nullptr);
    json["held_until"] = or_null(report.held_until);
    return json;
}

Json queries_json(const std::vector<QueryOutcome>& queries) {
    Json list = Json::array();
    for (const auto& one : queries)
        list.push_back({{"sql", one.sql},
                        {"passed", !one.error},
                        {"seconds", one.seconds},
                        {"rows", one.rows},
                        {"first_value", or_null(one.first)},
                        {"error", or_null(one.error)}});
    return list;
}

Json pages_json(const std::optional<PageChecks>& pages) {
    if (!pages) return nullptr;
    Json faults = Json::array(), left = Json::array();
    for (const auto& fault : pages->faults) {
        Json json = relation_json(fault.in);
        json["file"] = fault.file;
        json["page"] = fault.page < 0 ? Json(nullptr) : Json(fault.page);
        json["item"] = fault.item < 0 ? Json(nullptr) : Json(fault.item);
        json["what"] = fault.what;
        faults.push_back(std::move(json));
    }
    for (const auto& [name, why] : pages->not_checked) {
        Json json = relation_json(name);
        json["why"] = why;
        left.push_back(std::move(json));
    }
    return {{"databases", pages->databases},
            {"tables", pages->tables},
            {"indexes", pages->indexes},
            {"data_checksums", pages->has_checksums},
            {"checksums_computed", pages->checksums < 0 ? Json(nullptr) : Json(pages->checksums)},
            {"no_checksums", pages->no_checksums.empty() ? Json(nullptr) : Json(pages->no_checksums)},
            {"faults", faults},
            {"not_checked", left}};
}

Json compared_json(const std::vector<ComparedPipeline>& all) {
    Json list = Json::array();
    for (const auto& one : all) {
        Json tables = Json::array();
        for (const auto& table : one.tables) tables.push_back(verified_json(table, most_differences));
        list.push_back({{"pipeline", one.name},
                        {"equal", one.equal()},
                        {"as_of", one.as_of.empty() ? Json(nullptr) : Json(one.as_of)},
                        {"note", one.note.empty() ? Json(nullptr) : Json(one.note)},
                        {"tables", tables},
                        {"error", or_null(one.error)}});
    }
    return list;
}

std::string compared_failure(const ComparedPipeline& one) {
    if (one.error) return fmt::format("pipeline {} could not be compared: {}", one.name, one.error->message);
    std::string text;
    for (const auto& table : one.tables)
        if (!table.equal())
            text += fmt::format(
                "{}{}: {}", text.empty() ? "" : "; ", table.target.name,
                table.there ? fmt::format("{} rows differ", table.outcome.total()) : "the target has no such table");
    return fmt::format("pipeline {} differs from the restored server: {}{}{}", one.name, text,
                       one.note.empty() ? "" : "; ", one.note);
}

}  // namespace

bool DrillReport::passed() const { return failures().empty(); }

std::vector<std::string> DrillReport::failures() const {
    std::vector<std::string> all;
    if (error) all.push_back(error->message);
    for (const auto& one : queries)
        if (one.error) all.push_back(fmt::format("query failed: {}: {}", one.sql, one.error->message));
    if (pages)
        for (const auto& fault : pages->faults) all.push_back(fault_text(fault));
    for (const auto& one : compared)
        if (!one.equal()) all.push_back(compared_failure(one));
    return all;
}

Json drill_json(const DrillReport& report) {
    Json phases = Json::array();
    for (const auto& phase : report.phases)
        phases.push_back({{"name", phase.name}, {"begin_seconds", phase.begin}, {"seconds", phase.seconds}});
    return {{"format", 1},
            {"id", report.id},
            {"backup", report.backup},
            {"passed", report.passed()},
            {"failures", report.failures()},
            {"penstock", version},
            {"started_at", iso_time(report.started_at)},
            {"ended_at", iso_time(report.ended_at)},
            {"rto_seconds", or_null(report.rto)},
            {"rpo_seconds", or_null(report.rpo)},
            {"restored", restored_json(report)},
            {"network", report.isolated ? "none" : "not shut off: this kernel or account does not allow it"},
            {"phases", phases},
            {"queries", queries_json(report.queries)},
            {"pages", pages_json(report.pages)},
            {"compared", compared_json(report.compared)},
            {"error", or_null(report.error)}};
}

std::string drill_text(const DrillReport& report) {
    constexpr size_t most_shown = 50;
    auto seconds = [](double value) { return humane_duration(std::chrono::duration<double>(value)); };
    std::string text =
        fmt::format("drill {} of {}: {}\n", report.id, report.backup, report.passed() ? "passed" : "FAILED");
    if (report.record)
        text += fmt::format("  restored: {}, PostgreSQL {}, {}\n", report.record->id,
                            server_version_text(report.record->server_version), humane_bytes(report.record->bytes()));
    if (report.held_until)
        text += fmt::format("  holds all that was committed until {}\n", iso_time(*report.held_until));
    if (report.rto) text += fmt::format("  RTO {}: until the restored server answered\n", seconds(*report.rto));
    if (report.rpo)
        text += fmt::format("  RPO {}: since the last transaction that the store has\n", seconds(*report.rpo));
    for (const auto& one : report.queries)
        if (!one.error)
            text += fmt::format("  query: {} rows in {}, first value {}: {}\n", humane_count(one.rows),
                                seconds(one.seconds), one.first.value_or("NULL"), one.sql);
    if (report.pages) {
        text += fmt::format("  pages: {} tables and {} indexes of {} databases read by amcheck\n",
                            humane_count(report.pages->tables), humane_count(report.pages->indexes),
                            report.pages->databases);
        text += report.pages->checksums >= 0
                    ? fmt::format("  checksums: {} pages\n", humane_count(report.pages->checksums))
                    : fmt::format("  checksums: {}\n", report.pages->no_checksums);
        if (!report.pages->not_checked.empty())
            text += fmt::format("  not checked: {} relations or databases, which the report names\n",
                                report.pages->not_checked.size());
    }
    for (const auto& one : report.compared)
        if (one.equal())
            text += fmt::format("  {}: equal with the restored server in {} tables{}\n", one.name, one.tables.size(),
                                one.as_of.empty() ? "" : ", both as of " + one.as_of);
    auto failures = report.failures();
    for (size_t i = 0; i < std::min(failures.size(), most_shown); ++i)
        text += fmt::format("  FAILED: {}\n", failures[i]);
    if (failures.size() > most_shown)
        text += fmt::format("  and {} more, which the report names\n", failures.size() - most_shown);
    return text;
}

Result<std::string> store_report(const DrillReport& report, const backup::Catalog& catalog) {
    auto json = drill_json(report).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
    auto page = drill_page(report);
    std::string seals = fmt::format("{}  {}.json\n{}  {}.html\n", catalog.key().sign(json), report.id,
                                    catalog.key().sign(page), report.id);
    for (const auto& [end, content] :
         {std::pair(".html", &page), std::pair(".json", &json), std::pair(".hmac", &seals)}) {
        PN_TRY(bool made, catalog.store().put_new(catalog.path("drills/" + report.id + end), *content));
        PN_ASSERT(made);  // an id has 48 random bits
    }
    return catalog.url("drills/" + report.id + ".json");
}

}  // namespace penstock::app
