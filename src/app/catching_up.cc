#include "app/catching_up.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "app/execution.h"
#include "app/project.h"
#include "base/ids.h"
#include "base/log.h"

namespace penstock::app {
namespace {

constexpr auto longest_wait = std::chrono::minutes(2);
constexpr auto pause = std::chrono::milliseconds(250);

/// "16/B374D848" as a number; 0 where it is none.
uint64_t place_in_log(const std::string& position) {
    auto slash = position.find('/');
    if (slash == position.npos) return 0;
    return std::strtoull(position.c_str(), nullptr, 16) << 32 |
           std::strtoull(position.c_str() + slash + 1, nullptr, 16);
}

Error not_reached(const Pipeline& pipeline, const std::string& position, const std::string& confirmed) {
    return {.kind = ErrorKind::unavailable,
            .code = "target_behind",
            .message = fmt::format("the run that reads the stream of {} has not got to {} in two minutes: it stands at "
                                   "{}",
                                   pipeline.name(), position, confirmed.empty() ? "no position" : confirmed),
            .hint = "`penstock slots list` shows how far behind it is; verify when it has caught up"};
}

/// What the slot's reader has confirmed is durable in the target (I1).
Status wait_for_reader(const Pipeline& pipeline, const std::string& position, std::stop_token stop) {
    PN_TRY(auto slots, pipeline.open_slots(stop));
    auto until = std::chrono::steady_clock::now() + longest_wait;
    std::string confirmed;
    while (!stop.stop_requested()) {
        PN_TRY(auto list, slots->list());
        auto slot = std::ranges::find(list, pipeline.slot(), &flow::Slot::name);
        confirmed = slot == list.end() ? "" : slot->confirmed;
        if (!confirmed.empty() && place_in_log(confirmed) >= place_in_log(position)) return {};
        if (std::chrono::steady_clock::now() >= until) return fail(not_reached(pipeline, position, confirmed));
        std::this_thread::sleep_for(pause);
    }
    return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while waiting"});
}

}  // namespace

Status catch_up(const config::Document& document, Pipeline& pipeline, const std::string& position,
                std::stop_token stop) {
    pipeline.set_follow(false);
    PN_TRY(auto store, open_state(document));
    JobTables jobs(document);
    auto result = execute(pipeline, pipeline.request(new_run_id()), store, jobs, stop);
    if (!result.error) return {};
    if (result.error->kind != ErrorKind::conflict) return fail(std::move(*result.error));
    log::info("{}: another process reads its stream; waiting until it has got to {}", pipeline.name(), position);
    return wait_for_reader(pipeline, position, std::move(stop));
}

}  // namespace penstock::app
