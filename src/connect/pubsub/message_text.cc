#include "connect/pubsub/message_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::pubsub {
namespace {

void add_text(std::string& json, std::string_view text) {
    bool plain = std::ranges::all_of(text, [](unsigned char c) { return c >= 0x20 && c != '"' && c != '\\'; });
    if (plain) json.append(1, '"').append(text).append(1, '"');
    else json += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string attributes_json(const Received& received) {
    const auto& message = received.message();
    if (message.attributes().empty() && message.ordering_key().empty() && received.delivery_attempt() == 0) return {};
    std::vector<std::pair<std::string_view, std::string_view>> all;
    for (const auto& [name, value] : message.attributes()) all.emplace_back(name, value);
    std::string attempt = std::to_string(received.delivery_attempt());
    if (received.delivery_attempt() > 0) all.emplace_back("googclient_deliveryattempt", attempt);
    if (!message.ordering_key().empty()) all.emplace_back("googclient_orderingkey", message.ordering_key());
    std::sort(all.begin(), all.end());
    std::string json = "{";
    for (const auto& [name, value] : all) {
        if (json.size() > 1) json += ',';
        add_text(json, name);
        json += ':';
        add_text(json, value);
    }
    return json += '}';
}

int64_t micros_of(const google::protobuf::Timestamp& time) { return time.seconds() * 1'000'000 + time.nanos() / 1000; }

}  // namespace penstock::pubsub
