#include "app/lineage/record.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/lineage/event.h"
#include "app/lineage/place.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/redacted.h"
#include "state/lock.h"
#include "state/notices.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

/// Servers refuse more; what is left out first is what grows with columns.
constexpr size_t most_event = size_t{1} << 20;

std::string text_of(Json event) {
    event = redacted(std::move(event));
    auto text = [&] { return event.dump(-1, ' ', false, Json::error_handler_t::replace); };
    auto whole = text();
    if (whole.size() <= most_event) return whole;
    leave_out_columns(event);
    return text();
}

/// A run has one event of a kind, and one end: whoever comes first says it.
void put(const config::Document& document, const flow::RunIdentity& run, LineageType type, Json event, TimePoint at) {
    std::string kind(to_string(type));
    bool ends = type != LineageType::start && type != LineageType::running;
    state::Notice notice{
        .id = sha256_hex(fmt::format("lineage\n{}\n{}", ends ? "end" : kind, run.run_id)).substr(0, 32),
        .connection = lineage_receiver,
        .pipeline = run.pipeline,
        .event = kind,
        .subject = run.run_id,
        .payload = text_of(std::move(event)),
        .made_at = at};
    auto notices = state::Notices::open(document.state.reveal(), document.state_directory);
    auto added = notices ? notices->add(notice, std::chrono::microseconds(0)) : fail(notices.error());
    if (!added) log::warning("lineage does not know of {} of run {}: {}", kind, run.run_id, added.error().message);
}

void put_of(const RunStory& story, LineageType type, const flow::RunResult* result, TimePoint at) {
    const auto& document = story.pipeline.document();
    auto place = lineage_of(document);
    if (place) put(document, story.identity, type, lineage_event(story, place->name_space.value, type, result, at), at);
}

}  // namespace

void record_begin(const RunStory& story) { put_of(story, LineageType::start, nullptr, story.began); }

void record_plan(const RunStory& story) { put_of(story, LineageType::running, nullptr, story.planned); }

void record_end(const RunStory& story, const flow::RunResult& result) {
    put_of(story, lineage_type(result), &result, story.ended);
}

void record_gone(const RunStory& story, const std::vector<state::GoneRun>& gone) {
    const auto& document = story.pipeline.document();
    auto place = lineage_of(document);
    if (!place) return;
    for (const auto& run : gone)
        put(document, {.pipeline = run.pipeline, .run_id = run.run_id}, LineageType::fail,
            lineage_failure(place->name_space.value, run, state::crashed(), story.began), story.began);
}

}  // namespace penstock::app
