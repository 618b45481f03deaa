#include "transform/events/shared_position.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace penstock::events {
namespace {

using Json = nlohmann::ordered_json;

Error damaged(const std::string& why) {
    return {
        .kind = ErrorKind::refused,
        .code = "damaged_position",
        .message = "the pipeline's checkpoint cannot be read: " + why,
        .hint = "set the target's table of checkpoints back to what Penstock wrote, or run once with --full-refresh"};
}

}  // namespace

std::string SharedPosition::to_json() const {
    Json owners = Json::object();
    for (const auto& [number, seat] : seats) owners[std::to_string(number)] = {seat.taken, seat.segment};
    return Json{{"seats", std::move(owners)}, {"stream", stream ? Json::parse(*stream) : Json()}}.dump();
}

Result<SharedPosition> SharedPosition::of(const std::optional<flow::Checkpoint>& checkpoint) {
    SharedPosition out;
    if (!checkpoint) return out;
    auto json = Json::parse(checkpoint->position, nullptr, false);
    if (!json.is_object() || !json.contains("seats")) {
        out.stream = checkpoint->position;
        return out;
    }
    const auto& seats = json["seats"];
    if (!seats.is_object()) return fail(damaged("its seats are no object"));
    for (const auto& [name, seat] : seats.items()) {
        int number = 0;
        auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
        bool counted =
            seat.is_array() && seat.size() == 2 && seat[0].is_number_integer() && seat[1].is_number_integer();
        if (error != std::errc() || end != name.data() + name.size() || !counted)
            return fail(damaged(fmt::format("its seat '{}' is not two numbers", name)));
        out.seats[number] = {seat[0], seat[1]};
    }
    if (auto stream = json.find("stream"); stream != json.end() && !stream->is_null()) out.stream = stream->dump();
    return out;
}

std::string archive_position(int seat, int64_t segment) { return Json{{"seat", seat}, {"segment", segment}}.dump(); }

}  // namespace penstock::events
