#include "transform/steps/stepped_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "transform/steps/step_sql.h"

namespace penstock::steps {
namespace {

/// Each session holds a block or two; a step that sorts or groups one needs no more.
constexpr uint64_t least_memory = uint64_t{64} << 20;

Error other_columns(const flow::TableInfo& info) {
    return {.kind = ErrorKind::schema,
            .code = "step_columns_changed",
            .message = fmt::format("{} has other columns now than the steps were planned for", info.name),
            .hint = "run it again: the steps are planned for the columns that are there when a run begins"};
}

bool same_columns(const data::Schema& left, const data::Schema& right) {
    return std::ranges::equal(left.fields, right.fields);
}

Status check_tables(const std::vector<config::Located<config::Step>>& steps,
                    const std::vector<flow::TableInfo>& infos) {
    for (const auto& step : steps)
        for (const auto& name : step.value.tables) {
            if (std::ranges::find(infos, name.value, &flow::TableInfo::name) != infos.end()) continue;
            std::string known;
            for (const auto& info : infos) known += (known.empty() ? "" : ", ") + info.name;
            return fail(at_step(name.place, "step_table_missing",
                                fmt::format("the source has no table '{}', which a step is for", name.value),
                                "its tables: " + known));
        }
    return {};
}

}  // namespace

Result<std::vector<flow::TableInfo>> SteppedSource::discover(std::stop_token stop) {
    PN_TRY(auto infos, inner_->discover(stop));
    PN_CHECK(check_tables(steps_, infos));
    PN_TRY(database_, engine::Database::in_memory({.memory_limit_bytes = std::max(memory_bytes_, least_memory)}));
    lookups_.reset();
    PN_TRY(auto lookups, Lookups::load(steps_, *database_));
    lookups_.emplace(std::move(lookups));
    tables_.clear();
    for (auto& info : infos) {
        PN_TRY(auto stages, plan_stages(steps_, info, {*database_, directory_, stop}));
        if (!stages.empty()) info = stages.back()->after();
        tables_.push_back(std::move(stages));
    }
    return infos;
}

Status SteppedSource::open(std::vector<flow::TableRead> tables) {
    for (const auto& read : tables) {
        contexts_.emplace(read.table, read.context);
        const auto& stages = tables_[read.table];
        if (!stages.empty() && !stages.front()->concealed().empty())
            read.context.rejects.conceal(stages.front()->concealed());
    }
    return inner_->open(std::move(tables));
}

Result<std::optional<flow::Segment>> SteppedSource::next() {
    PN_TRY(auto segment, inner_->next());
    if (!segment) return segment;
    PN_CHECK(lookups_->refresh());
    for (auto& part : segment->parts) {
        const auto& stages = tables_[part.table];
        if (stages.empty()) continue;
        const auto& planned = stages.front()->before();
        if (!same_columns(part.scan->schema(), planned.schema)) return fail(other_columns(planned));
        for (const auto& stage : stages) part.scan = stage->wrap(std::move(part.scan), contexts_.at(part.table));
    }
    return segment;
}

}  // namespace penstock::steps
