#include "app/operate/overview.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/operate/whose.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/run_json.h"
#include "app/schedule/view.h"
#include "app/work/work.h"
#include "state/intervals.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using state::Measure;

/// What is known by a pipeline's name.
struct Known {
    std::map<std::string, ScheduleView> schedules;
    std::map<std::string, state::RunRecord> last_runs;
    std::map<std::string, int64_t> open_rejects, loaded_until;
};

Result<Known> look(const config::Document& document) {
    Known known;
    PN_TRY(known.schedules, view_schedules(document));
    PN_TRY(auto store, look_at_state(document));
    if (!store) return known;
    PN_TRY(auto last_runs, store->last_runs());
    for (auto& run : last_runs) {
        auto name = run.pipeline;
        known.last_runs.emplace(std::move(name), std::move(run));
    }
    PN_TRY(auto measures, state::Measures::open_existing(document.state.reveal(), document.state_directory));
    if (!measures) return known;
    PN_TRY(auto all, measures->all());
    for (const auto& one : all) {
        if (one.kind == Measure::Kind::open_rejects) known.open_rejects[one.owner] = one.amount;
        if (one.kind == Measure::Kind::loaded_until) known.loaded_until[one.owner] = one.amount;
    }
    return known;
}

template <class Map>
Json number_in(const Map& map, const std::string& name) {
    auto found = map.find(name);
    return found == map.end() ? Json(nullptr) : Json(found->second);
}

Json lag_in(const Known& known, const std::string& name) {
    auto found = known.loaded_until.find(name);
    if (found == known.loaded_until.end()) return nullptr;
    auto since = now() - TimePoint(std::chrono::microseconds(found->second));
    return std::max(0.0, std::chrono::duration<double>(since).count());
}

Json one_json(const config::PipelineConfig& config, const std::string& name, const Known& known) {
    auto last = known.last_runs.find(name);
    auto schedule = known.schedules.contains(config.name) ? known.schedules.at(config.name) : ScheduleView();
    Json after = Json::array();
    for (const auto& before : config.after) after.push_back(before.value);
    return {{"pipeline", name},
            {"state", last == known.last_runs.end() ? "never run" : last->second.status},
            {"source", config.work() == nullptr ? config.source_connection
                       : config.dbt.is_null()   ? "command"
                                                : "dbt"},
            {"target", config.work() == nullptr ? config.target_connection : written_connection(config)},
            {"for_each_of", name == config.name ? Json(nullptr) : Json(config.name)},
            {"schedule", text_or_null(config.schedule.value)},
            {"timezone", text_or_null(config.timezone.value)},
            {"after", after},
            {"next_run", schedule.next ? Json(iso_time(*schedule.next)) : Json(nullptr)},
            {"paused", schedule.paused},
            {"waits_for", text_or_null(schedule.waits_for)},
            {"open_intervals", schedule.open},
            {"lag_seconds", lag_in(known, name)},
            {"open_rejects", number_in(known.open_rejects, name)},
            {"last_run", last == known.last_runs.end() ? Json(nullptr) : record_json(last->second)}};
}

}  // namespace

Result<Json> overview(const config::Document& document) {
    PN_TRY(auto known, look(document));
    Json list = Json::array();
    for (const auto& config : document.pipelines) {
        list.push_back(one_json(config, config.name, known));
        if (!config.for_each) continue;
        for (const auto& [name, run] : known.last_runs)
            if (name != config.name && pipeline_behind(document, name) == &config)
                list.push_back(one_json(config, name, known));
    }
    return Json{{"pipelines", list}};
}

}  // namespace penstock::app
