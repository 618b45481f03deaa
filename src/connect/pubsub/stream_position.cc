#include "connect/pubsub/stream_position.h"

#include <nlohmann/json.hpp>

#include "connect/pubsub/id_set.h"

namespace penstock::pubsub {
namespace {

/// More than an id of 64 bits takes with its distance in ten bytes, as base64.
constexpr size_t most_id_bytes = 14;

size_t bytes_of(const nlohmann::json& json) { return json.dump().size(); }

std::unexpected<Error> no_position() {
    return fail({.kind = ErrorKind::configuration,
                 .code = "other_checkpoint",
                 .message =
                     "the target's checkpoint is not one of a Pub/Sub subscription: another kind of pipeline has "
                     "loaded its tables under the same name",
                 .hint = "give the pipeline another name or target, or run once with --full-refresh"});
}

Result<StreamPosition> head_of(const nlohmann::json& json) {
    try {
        return StreamPosition{.subscription = json.at("subscription"),
                              .stream = json.at("stream"),
                              .given = json.at("given"),
                              .sent_until = json.at("sent_until")};
    } catch (const std::exception&) {
        return no_position();
    }
}

}  // namespace

std::string StreamPosition::to_json(size_t most_bytes) const {
    nlohmann::json json = {{"subscription", subscription},
                           {"stream", stream},
                           {"given", given},
                           {"sent_until", sent_until},
                           {"pending", encode_ids(pending)},
                           {"acknowledged", encode_ids({})}};
    size_t taken = bytes_of(json);
    size_t room = most_bytes > taken ? most_bytes - taken : 0;
    // Neighbours take a byte or two, so that many more may fit than is certain.
    size_t count = acknowledged.size();
    while (count > 0) {
        auto encoded = encode_ids({acknowledged.end() - static_cast<ptrdiff_t>(count), acknowledged.end()});
        size_t bytes = bytes_of(encoded);
        if (bytes <= room) {
            json["acknowledged"] = std::move(encoded);
            break;
        }
        count = std::min(count * 9 / 10, std::max(room / most_id_bytes, count * room / bytes * 9 / 10));
    }
    return json.dump();
}

Result<StreamPosition> StreamPosition::from_json(const std::string& text) {
    auto json = nlohmann::json::parse(text, nullptr, false);
    PN_TRY(auto out, head_of(json));
    if (!json.contains("pending") || !json.contains("acknowledged")) return no_position();
    PN_TRY(out.pending, decode_ids(json["pending"]));
    PN_TRY(out.acknowledged, decode_ids(json["acknowledged"]));
    return out;
}

Result<StreamPosition> StreamPosition::head_from_json(const std::string& text) {
    return head_of(nlohmann::json::parse(text, nullptr, false));
}

}  // namespace penstock::pubsub
