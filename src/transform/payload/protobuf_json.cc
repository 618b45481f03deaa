#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>

#include <algorithm>

#include "flow/payload.h"
#include "transform/debezium/json_text.h"
#include "transform/payload/iso_instant.h"
#include "transform/payload/protobuf_schema.h"

namespace penstock::payload {
namespace {

namespace pb = google::protobuf;
using Kind = pb::FieldDescriptor::CppType;

constexpr int64_t first_second = -62135596800, last_second = 253402300799;  // the years 1 to 9999, as protobuf has them

class Writer {
  public:
    explicit Writer(std::string& json) : json_(json), begin_(json.size()) {}

    bool message(const pb::Message& message);
    std::string fault;
    std::string path;  ///< to where the fault is

  private:
    bool fail(std::string why) {
        fault = std::move(why);
        return false;
    }
    bool well_known(const pb::Message& message, bool& known);
    bool moment(const pb::Message& message, bool duration);
    bool struct_value(const pb::Message& message);
    bool fields(const pb::Message& message);
    bool field(const pb::Message& message, const pb::FieldDescriptor& field);
    bool map(const pb::Message& message, const pb::FieldDescriptor& field);
    void map_key(const pb::Message& entry);
    /// `index` -1: not repeated.
    bool value(const pb::Message& message, const pb::FieldDescriptor& field, int index);

    std::string& json_;
    size_t begin_;
};

bool Writer::message(const pb::Message& message) {
    if (json_.size() - begin_ > flow::most_document_bytes) return fail("it is longer than 64 MiB as JSON");
    if (!message.GetReflection()->GetUnknownFields(message).empty())
        return fail(fmt::format("field number {} is not in the schema",
                                message.GetReflection()->GetUnknownFields(message).field(0).number()));
    bool known = false;
    if (!well_known(message, known)) return false;
    return known || fields(message);
}

/// Types of google.protobuf whose JSON is not that of their fields.
bool Writer::well_known(const pb::Message& message, bool& known) {
    const auto& type = *message.GetDescriptor();
    if (type.file()->package() != "google.protobuf") return true;
    known = true;
    const auto& name = type.name();
    if (name == "Timestamp" || name == "Duration") return moment(message, name == "Duration");
    if (name.ends_with("Value") && name != "Value" && name != "ListValue" && name != "EnumValue")
        return value(message, *type.field(0), -1);
    if (name == "Struct") return map(message, *type.FindFieldByName("fields"));
    if (name == "ListValue") return field(message, *type.FindFieldByName("values"));
    if (name == "Value") return struct_value(message);
    known = false;
    return true;
}

bool Writer::moment(const pb::Message& message, bool duration) {
    const auto& type = *message.GetDescriptor();
    const auto& reflection = *message.GetReflection();
    int64_t seconds = reflection.GetInt64(message, type.FindFieldByName("seconds"));
    int32_t nanos = reflection.GetInt32(message, type.FindFieldByName("nanos"));
    if (duration) {
        bool mixed = (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0);
        if (mixed || std::abs(nanos) > 999'999'999) return fail("a Duration's seconds and nanos do not agree");
        json_ += fmt::format("\"PT{}{}{}S\"", nanos < 0 && seconds == 0 ? "-" : "", seconds, fraction_of(nanos));
        return true;
    }
    if (seconds < first_second || seconds > last_second || nanos < 0 || nanos > 999'999'999)
        return fail("a Timestamp is not within the years 1 to 9999");
    json_ += '"';
    append_iso_instant(seconds, nanos, json_);
    json_ += "Z\"";
    return true;
}

bool Writer::struct_value(const pb::Message& message) {
    const auto& reflection = *message.GetReflection();
    const auto* set = reflection.GetOneofFieldDescriptor(message, message.GetDescriptor()->oneof_decl(0));
    if (set != nullptr && set->name() != "null_value") return value(message, *set, -1);
    json_ += "null";
    return true;
}

bool Writer::fields(const pb::Message& message) {
    const auto& type = *message.GetDescriptor();
    json_ += '{';
    for (int i = 0; i < type.field_count(); ++i) {
        const auto& one = *type.field(i);
        bool there = one.is_repeated() || !one.has_presence() || message.GetReflection()->HasField(message, &one);
        if (!there) continue;
        if (json_.back() != '{') json_ += ',';
        debezium::append_json_string(one.name(), json_);
        json_ += ':';
        if (!field(message, one)) {
            path = path.empty() ? one.name() : one.name() + "." + path;
            return false;
        }
    }
    json_ += '}';
    return true;
}

bool Writer::field(const pb::Message& message, const pb::FieldDescriptor& field) {
    if (field.is_map()) return map(message, field);
    if (!field.is_repeated()) return value(message, field, -1);
    json_ += '[';
    int count = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < count; ++i) {
        if (i > 0) json_ += ',';
        if (!value(message, field, i)) return false;
    }
    json_ += ']';
    return true;
}

bool Writer::map(const pb::Message& message, const pb::FieldDescriptor& field) {
    json_ += '{';
    int count = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < count; ++i) {
        if (i > 0) json_ += ',';
        const auto& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
        map_key(entry);
        json_ += ':';
        if (!value(entry, *entry.GetDescriptor()->map_value(), -1)) return false;
    }
    json_ += '}';
    return true;
}

void Writer::map_key(const pb::Message& entry) {
    const auto& key = *entry.GetDescriptor()->map_key();
    bool text = key.cpp_type() == Kind::CPPTYPE_STRING;
    if (!text) json_ += '"';
    value(entry, key, -1);
    if (!text) json_ += '"';
}

bool Writer::value(const pb::Message& message, const pb::FieldDescriptor& field, int index) {
    const auto& in = *message.GetReflection();
    const auto* at = &field;
    bool one = index < 0;
    std::string scratch;
    switch (field.cpp_type()) {
        case Kind::CPPTYPE_INT32:
            debezium::append_integer(one ? in.GetInt32(message, at) : in.GetRepeatedInt32(message, at, index), json_);
            return true;
        case Kind::CPPTYPE_INT64:
            debezium::append_integer(one ? in.GetInt64(message, at) : in.GetRepeatedInt64(message, at, index), json_);
            return true;
        case Kind::CPPTYPE_UINT32:
            debezium::append_integer(one ? in.GetUInt32(message, at) : in.GetRepeatedUInt32(message, at, index), json_);
            return true;
        case Kind::CPPTYPE_UINT64:
            debezium::append_integer(one ? in.GetUInt64(message, at) : in.GetRepeatedUInt64(message, at, index), json_);
            return true;
        case Kind::CPPTYPE_DOUBLE:
            debezium::append_json_number(one ? in.GetDouble(message, at) : in.GetRepeatedDouble(message, at, index),
                                         json_);
            return true;
        case Kind::CPPTYPE_FLOAT:
            debezium::append_json_number(one ? in.GetFloat(message, at) : in.GetRepeatedFloat(message, at, index),
                                         json_);
            return true;
        case Kind::CPPTYPE_BOOL:
            json_ += (one ? in.GetBool(message, at) : in.GetRepeatedBool(message, at, index)) ? "true" : "false";
            return true;
        case Kind::CPPTYPE_ENUM: {
            int number = one ? in.GetEnumValue(message, at) : in.GetRepeatedEnumValue(message, at, index);
            const auto* symbol = field.enum_type()->FindValueByNumber(number);
            if (symbol == nullptr)
                return fail(fmt::format("{} is no value of enum {}", number, field.enum_type()->name()));
            debezium::append_json_string(symbol->name(), json_);
            return true;
        }
        case Kind::CPPTYPE_STRING: {
            const auto& text = one ? in.GetStringReference(message, at, &scratch)
                                   : in.GetRepeatedStringReference(message, at, index, &scratch);
            if (field.type() != pb::FieldDescriptor::TYPE_BYTES) {
                debezium::append_json_string(text, json_);
                return true;
            }
            json_ += '"';
            debezium::append_base64(text, json_);
            json_ += '"';
            return true;
        }
        case Kind::CPPTYPE_MESSAGE:
            return this->message(one ? in.GetMessage(message, at) : in.GetRepeatedMessage(message, at, index));
    }
    return false;
}

}  // namespace

std::expected<void, std::string> append_protobuf(const ProtobufSchema& schema, const pb::Descriptor& type,
                                                 std::string_view bytes, std::string& json) {
    std::unique_ptr<pb::Message> message(schema.factory().GetPrototype(&type)->New());
    if (!message->ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return std::unexpected(fmt::format("it is no message {}", type.full_name()));
    if (!message->IsInitialized())
        return std::unexpected(fmt::format("required fields are missing: {}", message->InitializationErrorString()));
    Writer writer(json);
    if (writer.message(*message)) return {};
    return std::unexpected(writer.path.empty() ? writer.fault : fmt::format("{}: {}", writer.path, writer.fault));
}

}  // namespace penstock::payload
