#include "app/http/message.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "io/id_token.h"

namespace penstock::app::http {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& object, const char* name, const char* other) {
    for (const char* one : {name, other})
        if (auto found = object.find(one); found != object.end() && found->is_string())
            return found->get<std::string>();
    return "";
}

/// Ids become keys in the state.
bool usable_id(const std::string& id) {
    return id.size() <= 200 && std::ranges::all_of(id, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

Incoming open_envelope(const Request& request, bool takes_push) {
    Incoming incoming{.id = request.header("idempotency-key"), .body = request.body};
    auto wrong = [&](std::string why) {
        incoming.id = usable_id(incoming.id) ? incoming.id : "";
        incoming.mistake = std::move(why);
        return incoming;
    };
    if (!usable_id(incoming.id)) return wrong("the Idempotency-Key is longer than 200 letters, or has blanks");
    if (!takes_push) return incoming;
    // "Payload unwrapping" of a push subscription: the message is the body, what
    // is known of it is in headers.
    if (auto id = request.header("x-goog-pubsub-message-id"); !id.empty()) {
        incoming.pushed = true, incoming.id = id;
        return usable_id(id) ? incoming : wrong("the message id is no id");
    }
    auto envelope = Json::parse(request.body, nullptr, false);
    if (!envelope.is_object() || !envelope.contains("message") || !envelope.contains("subscription")) return incoming;
    incoming.pushed = true;
    const auto& message = envelope["message"];
    if (!message.is_object()) return wrong("`message` of the envelope is no object");
    incoming.id = text_of(message, "messageId", "message_id");
    if (incoming.id.empty() || !usable_id(incoming.id)) return wrong("the envelope has no messageId");
    auto data = message.find("data");
    if (data == message.end() || (data->is_string() && data->get_ref<const std::string&>().empty())) {
        // A message may be attributes alone.
        auto attributes = message.find("attributes");
        incoming.body = attributes != message.end() && attributes->is_object() ? attributes->dump() : "{}";
        return incoming;
    }
    if (!data->is_string()) return wrong("`data` of the envelope is no text");
    auto decoded = from_base64(data->get<std::string>());
    if (!decoded) return wrong("`data` of the envelope is no base64");
    incoming.body = std::move(*decoded);
    return incoming;
}

}  // namespace penstock::app::http
