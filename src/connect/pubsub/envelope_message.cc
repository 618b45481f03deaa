#include "connect/pubsub/envelope_message.h"

#include <fmt/format.h>

#include "base/digest.h"

namespace penstock::pubsub {
namespace {

/// 128 bits of SHA-256, in hex.
std::string hash_of(std::string_view text) { return sha256_hex(text).substr(0, 32); }

}  // namespace

MessageMaker::MessageMaker(const flow::TableInfo& info, Ordering ordering, std::string server, std::string run_id)
    : table_(info.name),
      server_(std::move(server)),
      run_id_(std::move(run_id)),
      keyed_(!info.key.empty()),
      ordering_(ordering) {}

std::string MessageMaker::id_of(const debezium::Message& envelope, std::string_view key_json) {
    std::string id = fmt::format("{}.{}/{}", server_, table_, envelope.position);
    if (envelope.op != 'r') return id;
    return id + (keyed_ ? "/" + hash_of(key_json) : fmt::format("/{}/{}", run_id_, ++unkeyed_));
}

/// Changes of a table without key are told apart by their whole rows: only all together are they in order.
std::string MessageMaker::ordering_key(std::string_view key_json) const {
    if (ordering_ == Ordering::none) return {};
    if (ordering_ == Ordering::table || !keyed_ || key_json.empty()) return table_;
    return key_json.size() <= most_key_bytes ? std::string(key_json) : hash_of(key_json);
}

Message MessageMaker::make(const debezium::Message& envelope, std::string_view key_json) {
    Message message;
    if (envelope.value) message.set_data(envelope.value->data(), envelope.value->size());
    message.set_ordering_key(ordering_key(key_json));
    auto& attributes = *message.mutable_attributes();
    attributes["table"] = table_;
    attributes["op"] = std::string(1, envelope.op);
    attributes["position"] = std::string(envelope.position);
    attributes["penstock_id"] = id_of(envelope, key_json);
    auto put = [&](const char* name, std::string_view value) {
        if (!value.empty() && value.size() <= most_attribute_bytes) attributes[name] = std::string(value);
    };
    put("old_key", envelope.old_key);
    put("new_key", envelope.new_key);
    put("unavailable", envelope.unavailable);
    return message;
}

}  // namespace penstock::pubsub
