#include "transform/payload/registry_decoder.h"

#include <fmt/format.h>

#include "transform/payload/avro_decoder.h"
#include "transform/payload/zigzag.h"

namespace penstock::payload {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t frame_bytes = 5;
constexpr size_t most_known = 1000;
constexpr size_t deepest_type = 20;
/// A schema may be registered after its first messages were sent.
constexpr auto ask_again = std::chrono::seconds(30);

std::string_view name_of(Format format) {
    switch (format) {
        case Format::json: return "JSON";
        case Format::avro: return "Avro";
        case Format::protobuf: return "Protobuf";
    }
    return "";
}

/// Which message type of its file it is: a count and that many indexes, zigzag; a single zero stands for the first.
bool read_type(std::string_view& rest, std::vector<int64_t>& path) {
    auto number = [&](int64_t& out) { return take_zigzag(rest, out) == ZigzagFault::none; };
    int64_t count = 0;
    if (!number(count) || count < 0 || static_cast<size_t>(count) > deepest_type) return false;
    path.assign(static_cast<size_t>(std::max<int64_t>(count, 1)), 0);
    for (size_t i = 0; count > 0 && i < path.size(); ++i)
        if (!number(path[i])) return false;
    return true;
}

}  // namespace

RegistryDecoder::Known RegistryDecoder::compile(const RegisteredSchema& schema) const {
    auto fault = [](std::string why) { return Fault{std::move(why), Clock::now() + ask_again}; };
    if (schema.format != format_)
        return fault(fmt::format("it is of {}, and `format` says {}", name_of(schema.format), name_of(format_)));
    switch (format_) {
        case Format::json: return JsonText{};
        case Format::avro: {
            std::vector<std::string> referenced;
            for (const auto& one : schema.references) referenced.push_back(one.text);
            auto made = AvroSchema::parse(schema.text, referenced);
            if (made) return std::move(*made);
            return fault("it is no Avro schema: " + made.error());
        }
        case Format::protobuf: {
            auto made = ProtobufSchema::parse(schema.text, schema.references);
            if (made) return std::move(*made);
            return fault("it is no .proto file: " + made.error());
        }
    }
    return fault("");
}

Result<const RegistryDecoder::Known*> RegistryDecoder::known(uint32_t id) {
    auto found = known_.find(id);
    if (found != known_.end()) {
        const auto* fault = std::get_if<Fault>(&found->second);
        if (fault == nullptr || Clock::now() < fault->until) return &found->second;
        known_.erase(found);
    }
    PN_TRY(auto schema, registry_.by_id(id, {}));
    if (known_.size() >= most_known) known_.clear();
    Known made = schema ? compile(*schema) : Known(Fault{std::move(schema.error()), Clock::now() + ask_again});
    return &known_.emplace(id, std::move(made)).first->second;
}

std::optional<flow::Undecodable> RegistryDecoder::read(const ProtobufSchema& schema, std::string_view rest,
                                                       std::string& json) const {
    std::vector<int64_t> path;
    if (!read_type(rest, path))
        return flow::Undecodable{"bad_protobuf", "the message does not say which type of its schema it is"};
    const auto* type = schema.message(path);
    if (type == nullptr)
        return flow::Undecodable{"bad_protobuf", "the message is of a type that its schema does not have"};
    auto done = append_protobuf(schema, *type, rest, json);
    if (done) return std::nullopt;
    return flow::Undecodable{"bad_protobuf", "the message is no Protobuf of its schema: " + done.error()};
}

Result<std::optional<flow::Undecodable>> RegistryDecoder::decode(std::string_view payload, std::string& json) {
    json.clear();
    if (payload.size() < frame_bytes || payload[0] != '\0') {
        if (format_ != Format::json)
            return flow::Undecodable{"no_schema_number", "the message does not begin with the number of its schema"};
        json = payload;
        return std::nullopt;
    }
    uint32_t id = 0;
    for (size_t i = 1; i < frame_bytes; ++i) id = id << 8 | static_cast<unsigned char>(payload[i]);
    auto rest = payload.substr(frame_bytes);
    PN_TRY(const auto* schema, known(id));
    if (const auto* fault = std::get_if<Fault>(schema))
        return flow::Undecodable{"unknown_schema",
                                 fmt::format("the message's schema is number {}: {}", id, fault->why)};
    if (const auto* protobuf = std::get_if<ProtobufSchema>(schema)) return read(*protobuf, rest, json);
    if (std::holds_alternative<JsonText>(*schema)) {
        json = rest;
        return std::nullopt;
    }
    auto done = append_avro(std::get<AvroSchema>(*schema).root(), rest, json);
    if (done) return std::nullopt;
    return flow::Undecodable{"bad_avro", fmt::format("the message is no Avro of schema {}: {}", id, done.error())};
}

}  // namespace penstock::payload
