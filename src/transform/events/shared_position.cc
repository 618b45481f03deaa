#include "transform/events/shared_position.h"

#include <nlohmann/json.hpp>

namespace penstock::events {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string SharedPosition::to_json() const {
    Json owners = Json::object();
    for (const auto& [number, seat] : seats) owners[std::to_string(number)] = {seat.taken, seat.segment};
    return Json{{"seats", std::move(owners)}, {"stream", stream ? Json::parse(*stream) : Json()}}.dump();
}

SharedPosition SharedPosition::of(const std::optional<flow::Checkpoint>& checkpoint) {
    SharedPosition out;
    if (!checkpoint) return out;
    auto json = Json::parse(checkpoint->position, nullptr, false);
    if (!json.is_object() || !json.contains("seats")) {
        out.stream = checkpoint->position;
        return out;
    }
    for (const auto& [number, seat] : json["seats"].items()) out.seats[std::stoi(number)] = {seat.at(0), seat.at(1)};
    if (!json["stream"].is_null()) out.stream = json["stream"].dump();
    return out;
}

std::string archive_position(int seat, int64_t segment) { return Json{{"seat", seat}, {"segment", segment}}.dump(); }

}  // namespace penstock::events
