#include "transform/steps/stages.h"

#include <fmt/format.h>

#include <algorithm>

#include "transform/steps/dedupe.h"
#include "transform/steps/geoip.h"
#include "transform/steps/program.h"
#include "transform/steps/query_stage.h"

namespace penstock::steps {
namespace {

using Step = config::Located<config::Step>;

bool is_for(const config::Step& step, const std::string& table) {
    return step.tables.empty() ||
           std::ranges::any_of(step.tables, [&](const auto& name) { return name.value == table; });
}

bool is_query(const config::Step& step) { return !step.dedupe && !step.geoip && !step.program; }

Error not_for_changes(const Step& step, const flow::TableInfo& info) {
    return at_step(step.place, "step_not_for_changes",
                   fmt::format("{} is captured, and steps are not for changes in this version", info.name),
                   "leave the step out, or read the table by `cursor`");
}

Result<std::unique_ptr<Stage>> plan_one(const Step& step, const flow::TableInfo& info, const Tools& tools) {
    if (step.value.dedupe) return Dedupe::plan(step, info);
    if (step.value.geoip) return Geoip::plan(step, info);
    return Program::plan(step, info, tools);
}

}  // namespace

Result<Stages> plan_stages(const std::vector<Step>& steps, const flow::TableInfo& info, const Tools& tools) {
    Stages stages;
    if (info.rejects_only) return stages;
    std::vector<const Step*> queries;
    auto now = [&]() -> const flow::TableInfo& { return stages.empty() ? info : stages.back()->after(); };
    auto plan_queries = [&]() -> Status {
        if (queries.empty()) return {};
        PN_TRY(auto stage, QueryStage::plan(queries, now(), tools.database));
        stages.push_back(std::move(stage));
        queries.clear();
        return {};
    };
    for (const auto& step : steps) {
        if (!is_for(step.value, info.name)) continue;
        if (info.changes) return fail(not_for_changes(step, info));
        if (is_query(step.value)) {
            queries.push_back(&step);
            continue;
        }
        PN_CHECK(plan_queries());
        PN_TRY(auto stage, plan_one(step, now(), tools));
        stages.push_back(std::move(stage));
    }
    PN_CHECK(plan_queries());
    for (size_t at = stages.size(); at-- > 1;) stages[at - 1]->conceal(stages[at]->concealed());
    return stages;
}

}  // namespace penstock::steps
