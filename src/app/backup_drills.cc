// `penstock backup drills`: what drills have found, by their reports in the store.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/backup_place.h"
#include "app/commands.h"
#include "app/drill/stored_drills.h"
#include "app/output.h"
#include "app/text_table.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

/// Of the failures of a drill; its report has all.
constexpr size_t most_failures = 3;

/// "2.9 s"; "" where it was not measured.
std::string time_in(const Json& report, const char* name) {
    auto found = report.find(name);
    bool known = found != report.end() && found->is_number();
    return known ? humane_duration(std::chrono::duration<double>(found->get<double>())) : "";
}

std::string restored_in(const Json& report) {
    auto found = report.find("restored");
    return found != report.end() && found->is_object() ? found->value("id", "") : "";
}

/// What a list shows of a report.
Json short_json(const Json& report) {
    auto of = [&](const char* name) { return report.contains(name) ? report[name] : Json(nullptr); };
    Json failures = Json::array();
    for (const auto& one : report.value("failures", Json::array()))
        if (failures.size() < most_failures) failures.push_back(one);
    auto restored = restored_in(report);
    return {{"id", of("id")},
            {"passed", of("passed")},
            {"started_at", of("started_at")},
            {"ended_at", of("ended_at")},
            {"rto_seconds", of("rto_seconds")},
            {"rpo_seconds", of("rpo_seconds")},
            {"restored", restored.empty() ? Json(nullptr) : Json(restored)},
            {"failures", failures},
            {"error", nullptr}};
}

Result<int> list(const Session& session, const BackupPlace& place) {
    PN_TRY(auto ids, drill_ids(place.catalog));
    if (ids.size() > static_cast<size_t>(session.options.most)) ids.resize(static_cast<size_t>(session.options.most));
    TextTable table({{.heading = "ID"},
                     {.heading = "ENDED (UTC)"},
                     {.heading = "IS"},
                     {.heading = "RTO", .align = Align::right},
                     {.heading = "RPO", .align = Align::right},
                     {.heading = "BACKUP"},
                     {.heading = "FAILED", .most = 80}});
    Json all = Json::array();
    for (const auto& id : ids) {
        auto report = stored_drill(place.catalog, id);
        bool damaged = !report && report.error().code == "backup_damaged";
        if (!report && !damaged) return fail(std::move(report.error()));
        if (damaged) {
            all.push_back({{"id", id}, {"error", error_json(report.error())}});
            table.add({id, "", "damaged", "", "", "", report.error().message});
            continue;
        }
        auto brief = short_json(*report);
        const auto& failures = brief["failures"];
        auto ended = report->value("ended_at", "").substr(0, 19);
        std::ranges::replace(ended, 'T', ' ');
        table.add({id, ended, report->value("passed", false) ? "passed" : "failed", time_in(*report, "rto_seconds"),
                   time_in(*report, "rpo_seconds"), restored_in(*report),
                   failures.empty() ? "" : failures.front().get<std::string>()});
        all.push_back(std::move(brief));
    }
    if (session.json()) PN_CHECK(print_json({{"drills", all}}));
    else
        PN_CHECK(print(ids.empty() ? fmt::format("there was no drill of {} yet\n", place.backup->name) : table.text()));
    return 0;
}

std::string report_text(const Json& report) {
    auto text = fmt::format("drill {} of {}: {}\n  from {} to {}\n", report.value("id", ""), report.value("backup", ""),
                            report.value("passed", false) ? "passed" : "FAILED", report.value("started_at", ""),
                            report.value("ended_at", ""));
    if (auto restored = restored_in(report); !restored.empty()) text += fmt::format("  restored: {}\n", restored);
    for (const auto& [name, title] : {std::pair("rto_seconds", "RTO"), std::pair("rpo_seconds", "RPO")})
        if (auto time = time_in(report, name); !time.empty()) text += fmt::format("  {} {}\n", title, time);
    for (const auto& one : report.value("failures", Json::array()))
        text += fmt::format("  FAILED: {}\n", one.get<std::string>());
    return text;
}

}  // namespace

Result<int> command::backup_drills(const Session& session) {
    PN_TRY(auto place, open_backup(session));
    if (session.options.names.size() < 2) return list(session, *place);
    PN_TRY(auto report, stored_drill(place->catalog, session.options.names[1]));
    PN_CHECK(session.json() ? print_json(report) : print(report_text(report)));
    return 0;
}

}  // namespace penstock::app
