#include "app/replay_target.h"

#include <fmt/format.h>

#include "transform/events/event_table.h"

namespace penstock::app {
namespace {

Status know_events(const Pipeline& pipeline, flow::TableTarget& target) {
    bool merges = target.mode == flow::Mode::merge;
    const char* column = merges ? events::ingestion_time : events::position;
    if (target.info.schema.find(column) < 0)
        return fail({.kind = ErrorKind::usage,
                     .code = "replay_not_available",
                     .message = fmt::format("{}: a step takes {} from {}, and by it a replay knows what is there",
                                            pipeline.name(), column, target.info.name),
                     .where = pipeline.config().place.text(),
                     .hint = "let the steps keep the column"});
    if (!merges) {
        target.known_by = column;
        return {};
    }
    auto later = fmt::format("(T.{0} IS NULL OR S.{0} >= T.{0})", column);
    target.update_when = target.update_when.empty() ? later : fmt::format("({}) AND {}", target.update_when, later);
    return {};
}

}  // namespace

Result<flow::TableTarget> replay_target(const Pipeline& pipeline, const flow::TableInfo& info) {
    PN_TRY(auto target, pipeline.target_for(info));
    if (info.rejects_only) return target;
    if (pipeline.is_routed()) {
        PN_CHECK(know_events(pipeline, target));
        return target;
    }
    if (target.key.empty() && info.key_is_unique) target.key = info.key;
    if (target.mode == flow::Mode::replace) target.mode = target.key.empty() ? flow::Mode::append : flow::Mode::merge;
    return target;
}

Status settle_killed_runs(const Pipeline& pipeline, std::stop_token stop) {
    PN_TRY(auto sink, pipeline.build_sink());
    PN_CHECK(sink->plan({}, std::move(stop)));
    return {};
}

}  // namespace penstock::app
