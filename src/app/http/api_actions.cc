#include "app/http/api_actions.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "app/operate/whose.h"
#include "app/own_process.h"
#include "app/schedule/jobs.h"
#include "state/intervals.h"

namespace penstock::app::http {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr std::chrono::seconds command_time{60}, replay_time{300};

Result<state::Intervals> open_intervals(const ApiCall& call) {
    return state::Intervals::open(call.document.state.reveal(), call.document.state_directory);
}

/// A name of `for_each` stands for a row of the file's pipeline, which the scheduler knows alone.
Result<std::string> scheduled_name(const ApiCall& call) {
    auto name = call.text("pipeline");
    if (call.document.pipeline(name) != nullptr) return name;
    return fail({.kind = ErrorKind::usage,
                 .code = "not_by_itself",
                 .message = fmt::format("{} is one row of a pipeline with `for_each`", name),
                 .hint = "name the pipeline, whose rows run together"});
}

Result<Ordered> set_paused(const ApiCall& call, bool paused) {
    PN_TRY(auto name, scheduled_name(call));
    PN_TRY(auto intervals, open_intervals(call));
    PN_CHECK(paused ? intervals.pause(name, call.actor) : intervals.resume(name));
    return Ordered{{"pipeline", name}, {"paused", paused}};
}

}  // namespace

Result<Ordered> run_pipeline(const ApiCall& call) {
    PN_TRY(auto name, scheduled_name(call));
    PN_TRY(auto jobs, scheduled_jobs(call.document));
    schedule::Interval one{.pipeline = name, .end = now(), .origin = schedule::Origin::manual, .made_at = now()};
    const auto& times = jobs.at(name).times;
    auto begin = times ? times->previous(one.end) : std::nullopt;
    one.start = begin ? *begin : one.end - std::chrono::seconds(1);
    PN_TRY(auto intervals, open_intervals(call));
    PN_TRY(auto taken, intervals.request(std::array{one}));
    return Ordered{{"pipeline", name},
                   {"requested", taken},
                   {"window", {{"start", iso_time(one.start)}, {"end", iso_time(one.end)}}}};
}

Result<Ordered> pause_pipeline(const ApiCall& call) { return set_paused(call, true); }
Result<Ordered> resume_pipeline(const ApiCall& call) { return set_paused(call, false); }

Result<Ordered> backfill_pipeline(const ApiCall& call) {
    PN_TRY(auto name, scheduled_name(call));
    std::vector<std::string> command = {"backfill", name, "--from=" + call.text("from"), "--to=" + call.text("to")};
    if (call.truth("contiguous")) command.emplace_back("--contiguous");
    if (call.truth("dry_run")) command.emplace_back("--dry-run");
    return ask_own(call.session, command, command_time);
}

Result<Ordered> replay_rejects(const ApiCall& call) {
    std::vector<std::string> command = {"rejects", "replay", call.text("pipeline")};
    if (auto table = call.text("table"); !table.empty()) command.push_back("--table=" + table);
    if (auto id = call.text("id"); !id.empty()) command.push_back("--id=" + id);
    if (call.truth("dry_run")) command.emplace_back("--dry-run");
    return ask_own(call.session, command, replay_time);
}

Result<Ordered> discard_rejects(const ApiCall& call) {
    // The command takes either, so one must not pass for the other.
    if (pipeline_behind(call.document, call.text("id")) != nullptr)
        return fail({.kind = ErrorKind::usage,
                     .code = "not_a_reject",
                     .message = fmt::format("'{}' is a pipeline and no reject", call.text("id")),
                     .hint = "leave out `id` to discard all of a pipeline"});
    std::vector<std::string> command = {"rejects", "discard"};
    if (auto table = call.text("table"); !table.empty()) command.push_back("--table=" + table);
    command.emplace_back("--");
    command.push_back(call.text("id").empty() ? call.text("pipeline") : call.text("id"));
    return ask_own(call.session, command, command_time);
}

}  // namespace penstock::app::http
