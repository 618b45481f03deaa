#include "transform/payload/format.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "transform/payload/avro_decoder.h"
#include "transform/payload/protobuf_schema.h"
#include "transform/payload/registry_decoder.h"

namespace penstock::payload {
namespace {

constexpr std::string_view single_object = "\xC3\x01";
constexpr size_t fingerprint_bytes = 8;

class AvroFileDecoder : public flow::PayloadDecoder {
  public:
    explicit AvroFileDecoder(AvroSchema schema) : schema_(std::move(schema)) {}

    Result<std::optional<flow::Undecodable>> decode(std::string_view payload, std::string& json) override {
        json.clear();
        auto read = append_avro(schema_.root(), payload, json);
        if (read) return std::nullopt;
        // Avro's single-object encoding: which schema it is stands before the value.
        if (payload.starts_with(single_object) && payload.size() >= single_object.size() + fingerprint_bytes) {
            json.clear();
            if (append_avro(schema_.root(), payload.substr(single_object.size() + fingerprint_bytes), json))
                return std::nullopt;
        }
        return flow::Undecodable{"bad_avro", "the message is no Avro of the schema: " + read.error()};
    }

  private:
    AvroSchema schema_;
};

class ProtobufFileDecoder : public flow::PayloadDecoder {
  public:
    ProtobufFileDecoder(ProtobufSchema schema, const google::protobuf::Descriptor& type)
        : schema_(std::move(schema)), type_(type) {}

    Result<std::optional<flow::Undecodable>> decode(std::string_view payload, std::string& json) override {
        json.clear();
        auto read = append_protobuf(schema_, type_, payload, json);
        if (read) return std::nullopt;
        return flow::Undecodable{"bad_protobuf", "the message is no Protobuf of the schema: " + read.error()};
    }

  private:
    ProtobufSchema schema_;
    const google::protobuf::Descriptor& type_;
};

Error schema_error(const FormatOptions& options, std::string why, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = "bad_message_schema",
            .message = fmt::format("{} {}", options.schema.value.string(), why),
            .where = options.schema.place.text(),
            .hint = std::move(hint)};
}

Result<std::string> read_schema(const FormatOptions& options) {
    std::ifstream file(options.schema.value, std::ios::binary);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    if (!file || !text)
        return fail(
            schema_error(options, "cannot be read", "check the path, which starts at the configuration's folder"));
    return text.str();
}

Result<std::unique_ptr<flow::PayloadDecoder>> decoder_of_file(const FormatOptions& options) {
    PN_TRY(auto text, read_schema(options));
    if (options.format == Format::avro) {
        auto schema = AvroSchema::parse(text);
        if (!schema)
            return fail(
                schema_error(options, "is no Avro schema: " + schema.error(), "write an .avsc as Avro defines it"));
        return std::make_unique<AvroFileDecoder>(std::move(*schema));
    }
    auto schema = ProtobufSchema::parse(text, {});
    if (!schema)
        return fail(schema_error(options, "is no .proto file: " + schema.error(),
                                 "it may import nothing but google/protobuf/*.proto"));
    const auto* type = schema->message(options.message.value);
    if (type != nullptr) return std::make_unique<ProtobufFileDecoder>(std::move(*schema), *type);
    return fail(options.message.empty()
                    ? schema_error(options, "has several message types", "name the one that is sent: `message: Order`")
                    : schema_error(options, fmt::format("has no message type {}", options.message.value),
                                   "`message` names a type of the file"));
}

}  // namespace

Status check_format(const FormatOptions& options, const config::Node& source) {
    const auto* schema = source.find("schema");
    const auto* message = source.find("message");
    if (options.format == Format::json) {
        if (schema == nullptr && message == nullptr) return {};
        return fail(config::problem(schema != nullptr ? *schema : *message, "option_without_effect",
                                    "`schema` and `message` are for formats avro and protobuf",
                                    "leave it out: the route's schema has the types"));
    }
    if (message != nullptr && (options.format == Format::avro || schema == nullptr))
        return fail(config::problem(*message, "option_without_effect",
                                    "`message` is for a `schema` that is a .proto file", "leave it out"));
    if (schema != nullptr || options.registry) return {};
    const auto* format = source.find("format");
    return fail(config::problem(format != nullptr ? *format : source, "no_message_schema",
                                "messages of this format cannot be read without their schema",
                                "give the connection a `schema_registry`, or the source a `schema`: a file"));
}

Result<std::unique_ptr<flow::PayloadDecoder>> make_decoder(const FormatOptions& options) {
    if (!options.schema.empty()) return decoder_of_file(options);
    if (options.registry) return std::make_unique<RegistryDecoder>(*options.registry, options.format);
    return nullptr;
}

}  // namespace penstock::payload
