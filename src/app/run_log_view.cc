#include "app/run_log_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/humane.h"
#include "state/run_logs.h"

namespace penstock::app {

using Json = nlohmann::ordered_json;

Result<Json> run_log_json(const config::Document& document, const state::RunRecord& run, int64_t after, int most) {
    PN_TRY(auto logs, state::RunLogs::open_existing(document.state.reveal(), document.state_directory));
    std::vector<state::RunLogLine> lines;
    if (logs) {
        PN_TRY(lines, logs->lines(run.run_id, after, most));
    }
    Json list = Json::array();
    int64_t before = after, left_out = 0;
    for (const auto& line : lines) {
        auto read = Json::parse(line.json, nullptr, false);
        Json json = {{"number", line.number}};
        if (read.is_object()) json.update(read);
        // Of a thread that did not know whose it is.
        json["pipeline"] = run.pipeline, json["run_id"] = run.run_id;
        left_out += line.number - before - 1;
        before = line.number;
        list.push_back(std::move(json));
    }
    return Json{{"run_id", run.run_id}, {"pipeline", run.pipeline}, {"lines", list}, {"left_out", left_out}};
}

std::string run_log_text(const Json& log) {
    if (log["lines"].empty()) return "nothing is kept of what this run has logged\n";
    std::string text;
    int64_t before = 0;
    for (const auto& line : log["lines"]) {
        auto number = line["number"].get<int64_t>();
        if (number > before + 1) text += fmt::format("… {} lines are left out\n", humane_count(number - before - 1));
        before = number;
        text += fmt::format("{} {:<7} {}\n", line.value("timestamp", "").substr(0, 23), line.value("level", ""),
                            line.value("message", ""));
        const auto& details = line.contains("metadata") ? line["metadata"] : Json::object();
        for (const auto* name : {"where", "hint"})
            if (auto told = details.is_object() ? details.value(name, "") : ""; !told.empty())
                text += fmt::format("    {}: {}\n", name, told);
    }
    return text;
}

}  // namespace penstock::app
