#pragma once

#include <chrono>
#include <map>
#include <string>
#include <variant>

#include "flow/payload.h"
#include "transform/payload/avro_schema.h"
#include "transform/payload/format.h"
#include "transform/payload/protobuf_schema.h"
#include "transform/payload/registry.h"

namespace penstock::payload {

/// Confluent's framing: a zero byte, the schema's number in four (the highest first), of Protobuf the place of the message type in its
/// file, and the value. With Format::json, messages without this frame are taken as they are.
class RegistryDecoder : public flow::PayloadDecoder {
  public:
    RegistryDecoder(RegistryOptions options, Format format) : registry_(std::move(options)), format_(format) {}

    Result<std::optional<flow::Undecodable>> decode(std::string_view payload, std::string& json) override;

  private:
    /// What the registry said, and will say again until then.
    struct Fault {
        std::string why;
        std::chrono::steady_clock::time_point until;
    };
    struct JsonText {};
    using Known = std::variant<Fault, JsonText, AvroSchema, ProtobufSchema>;

    Result<const Known*> known(uint32_t id);
    Known compile(const RegisteredSchema& schema) const;
    std::optional<flow::Undecodable> read(const ProtobufSchema& schema, std::string_view rest, std::string& json) const;

    Registry registry_;
    Format format_;
    std::map<uint32_t, Known> known_;
};

}  // namespace penstock::payload
