#include "app/operate/slot_watch.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "app/components.h"
#include "app/slot_view.h"
#include "base/log.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

constexpr std::chrono::seconds slot_look_every{30};

}  // namespace

SlotWatch::SlotWatch(const config::Document& document, std::function<bool()> leads)
    : document_(document), leads_(std::move(leads)) {
    for (const auto& pipeline : document.pipelines) {
        const auto* connection = document.connection(pipeline.source_connection);
        if (connection == nullptr || pipeline.source.find("changes") == nullptr) continue;
        if (find_component(connection->type)->open_slots == nullptr) continue;
        if (std::ranges::find(connections_, connection->name) == connections_.end())
            connections_.push_back(connection->name);
    }
    if (!connections_.empty()) looking_ = std::jthread([this](std::stop_token stop) { keep_looking(std::move(stop)); });
}

SlotWatch::~SlotWatch() = default;

void SlotWatch::keep_looking(std::stop_token stop) const {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    auto due = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
        bool looks = leads_() && std::chrono::steady_clock::now() >= due;
        if (looks) due = std::chrono::steady_clock::now() + slot_look_every;
        for (const auto& connection : connections_)
            if (auto looked = looks ? look(connection, stop) : Status{}; !looked && !stop.stop_requested())
                log::warning("the slots of {} are not known: {}", connection, looked.error().message);
        // Soon after this process began to lead.
        wake.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
    }
}

Status SlotWatch::look(const std::string& connection, const std::stop_token& stop) const {
    PN_TRY(auto slots, SlotServer(document_, *document_.connection(connection), stop).list());
    std::vector<state::Measure> measured;
    for (const auto& slot : slots)
        if (slot.retained_bytes)
            measured.push_back({.owner = connection,
                                .kind = state::Measure::Kind::slot_bytes,
                                .subject = slot.name,
                                .amount = *slot.retained_bytes,
                                .measured_at = now()});
    PN_TRY(auto measures, state::Measures::open_existing(document_.state.reveal(), document_.state_directory));
    if (!measures) return {};
    return measures->replace(connection, state::Measure::Kind::slot_bytes, measured);
}

}  // namespace penstock::app
