#include "transform/payload/avro_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/json_member.h"

namespace penstock::payload {
namespace {

using Json = nlohmann::json;

constexpr int deepest_schema = 100;
constexpr size_t most_types = 100'000;

std::optional<AvroKind> primitive(const std::string& name) {
    static const std::map<std::string, AvroKind, std::less<>> known = {
        {"null", AvroKind::null},   {"boolean", AvroKind::boolean}, {"int", AvroKind::int32},
        {"long", AvroKind::int64},  {"float", AvroKind::float32},   {"double", AvroKind::float64},
        {"bytes", AvroKind::bytes}, {"string", AvroKind::string},
    };
    auto found = known.find(name);
    return found == known.end() ? std::nullopt : std::optional(found->second);
}

/// "a.b.Name" of a name that may be full, or be within a namespace.
std::string full_name(const std::string& name, const std::string& space) {
    return name.find('.') != name.npos || space.empty() ? name : space + "." + name;
}

int64_t number_of(const Json& json, const char* member, int64_t otherwise) {
    auto found = json.find(member);
    return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

AvroLogical logical_of(const std::string& name, const AvroType& type) {
    struct Entry {
        AvroLogical logical;
        AvroKind of;
        AvroKind or_of;
    };
    using enum AvroLogical;
    static const std::map<std::string, Entry, std::less<>> known = {
        {"decimal", {decimal, AvroKind::bytes, AvroKind::fixed}},
        {"uuid", {uuid, AvroKind::string, AvroKind::fixed}},
        {"date", {date, AvroKind::int32, AvroKind::int32}},
        {"time-millis", {time_millis, AvroKind::int32, AvroKind::int32}},
        {"time-micros", {time_micros, AvroKind::int64, AvroKind::int64}},
        {"timestamp-millis", {timestamp_millis, AvroKind::int64, AvroKind::int64}},
        {"timestamp-micros", {timestamp_micros, AvroKind::int64, AvroKind::int64}},
        {"timestamp-nanos", {timestamp_nanos, AvroKind::int64, AvroKind::int64}},
        {"local-timestamp-millis", {local_timestamp_millis, AvroKind::int64, AvroKind::int64}},
        {"local-timestamp-micros", {local_timestamp_micros, AvroKind::int64, AvroKind::int64}},
        {"local-timestamp-nanos", {local_timestamp_nanos, AvroKind::int64, AvroKind::int64}},
        {"duration", {duration, AvroKind::fixed, AvroKind::fixed}},
    };
    auto found = known.find(name);
    if (found == known.end() || (type.kind != found->second.of && type.kind != found->second.or_of)) return none;
    if (found->second.logical == duration && type.size != 12) return none;
    if (found->second.logical == uuid && type.kind == AvroKind::fixed && type.size != 16) return none;
    return found->second.logical;
}

}  // namespace

/// A fault is an exception within this file: a schema is read as deeply as it is nested.
class AvroSchemaReader {
  public:
    explicit AvroSchemaReader(AvroSchema& into) : into_(into) {}

    const AvroType* read(const Json& json, const std::string& space, int depth) {
        if (depth > deepest_schema) throw std::string("it is nested more than 100 levels deep");
        if (json.is_string()) return named(json.get<std::string>(), space);
        if (json.is_array()) return choice(json, space, depth);
        if (!json.is_object()) throw std::string("a type is a name, a list or an object");
        auto inner = json.find("type");
        if (inner == json.end()) throw std::string("a type has no `type`");
        if (!inner->is_string()) return read(*inner, space, depth + 1);
        auto name = inner->get<std::string>();
        if (name == "record" || name == "error") return record(json, space, depth);
        if (name == "enum") return enumeration(json, space);
        if (name == "fixed") return fixed(json, space);
        if (name == "array") return item(json, AvroKind::array, "items", space, depth);
        if (name == "map") return item(json, AvroKind::map, "values", space, depth);
        auto kind = primitive(name);
        if (!kind) return named(name, space);
        return with_logical(make(*kind), json);
    }

  private:
    AvroType& make(AvroKind kind) {
        if (into_.types_.size() >= most_types) throw std::string("it has more than 100,000 types");
        into_.types_.push_back({});
        into_.types_.back().kind = kind;
        return into_.types_.back();
    }

    const AvroType* with_logical(AvroType& type, const Json& json) {
        type.logical = logical_of(text_of(json, "logicalType"), type);
        if (type.logical != AvroLogical::decimal) return &type;
        auto scale = number_of(json, "scale", 0), precision = number_of(json, "precision", 0);
        if (precision < 1 || scale < 0 || scale > precision || precision > 100'000) type.logical = AvroLogical::none;
        else type.scale = static_cast<int>(scale);
        return &type;
    }

    const AvroType* named(const std::string& name, const std::string& space) {
        if (auto kind = primitive(name)) return &make(*kind);
        auto found = names_.find(full_name(name, space));
        if (found == names_.end()) found = names_.find(name);
        if (found == names_.end()) throw fmt::format("type '{}' is not defined", name.substr(0, 200));
        return found->second;
    }

    /// The type under its name, and the namespace of what is within.
    std::string declare(const Json& json, const std::string& space, const AvroType& type) {
        auto name = text_of(json, "name");
        if (name.empty()) throw std::string("a record, enum or fixed has no name");
        auto own = text_of(json, "namespace");
        auto full = full_name(name, json.contains("namespace") ? own : space);
        if (!names_.emplace(full, &type).second) throw fmt::format("type '{}' is defined twice", full.substr(0, 200));
        auto dot = full.rfind('.');
        return dot == full.npos ? "" : full.substr(0, dot);
    }

    const AvroType* record(const Json& json, const std::string& space, int depth) {
        auto& type = make(AvroKind::record);
        auto within = declare(json, space, type);
        auto fields = json.find("fields");
        if (fields == json.end() || !fields->is_array()) throw std::string("a record has no list of `fields`");
        for (const auto& field : *fields) {
            auto name = text_of(field, "name");
            if (name.empty() || !field.contains("type")) throw std::string("a field has no name or no type");
            type.fields.push_back({name, read(field["type"], within, depth + 1)});
        }
        return &type;
    }

    const AvroType* enumeration(const Json& json, const std::string& space) {
        auto& type = make(AvroKind::enumeration);
        declare(json, space, type);
        auto symbols = json.find("symbols");
        if (symbols == json.end() || !symbols->is_array()) throw std::string("an enum has no list of `symbols`");
        for (const auto& symbol : *symbols) {
            if (!symbol.is_string()) throw std::string("a symbol of an enum is no text");
            type.symbols.push_back(symbol.get<std::string>());
        }
        return &type;
    }

    const AvroType* fixed(const Json& json, const std::string& space) {
        auto& type = make(AvroKind::fixed);
        declare(json, space, type);
        auto size = number_of(json, "size", -1);
        if (size < 0) throw std::string("a fixed has no `size`");
        type.size = static_cast<size_t>(size);
        return with_logical(type, json);
    }

    const AvroType* item(const Json& json, AvroKind kind, const char* member, const std::string& space, int depth) {
        auto& type = make(kind);
        if (!json.contains(member)) throw fmt::format("an array or map has no `{}`", member);
        type.parts.push_back(read(json[member], space, depth + 1));
        return &type;
    }

    const AvroType* choice(const Json& json, const std::string& space, int depth) {
        auto& type = make(AvroKind::choice);
        for (const auto& branch : json) {
            if (branch.is_array()) throw std::string("a union is directly within a union");
            type.parts.push_back(read(branch, space, depth + 1));
        }
        if (type.parts.empty()) throw std::string("a union is empty");
        return &type;
    }

    AvroSchema& into_;
    std::map<std::string, const AvroType*, std::less<>> names_;
};

std::expected<AvroSchema, std::string> AvroSchema::parse(std::string_view text,
                                                         const std::vector<std::string>& referenced) {
    AvroSchema out;
    AvroSchemaReader reader(out);
    auto read = [&](std::string_view schema) {
        auto json = Json::parse(schema, nullptr, false);
        // The specification's short form of a primitive type: its bare name.
        if (json.is_discarded()) json = std::string(schema);
        return reader.read(json, "", 0);
    };
    try {
        for (const auto& schema : referenced) read(schema);
        out.root_ = read(text);
    } catch (std::string& why) {
        return std::unexpected(std::move(why));
    }
    return out;
}

}  // namespace penstock::payload
