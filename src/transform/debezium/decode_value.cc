#include "transform/debezium/decode_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "transform/debezium/decode_bytes.h"

namespace penstock::debezium {
namespace {

namespace ondemand = simdjson::ondemand;

/// A value may be as deep as its shape, which the schema bounds.
bool broken(simdjson::error_code error, ValueContext& context) {
    return context.refuse("bad_json", fmt::format("the event is no valid JSON: {}", simdjson::error_message(error)));
}

bool read_list(const Shape& shape, ondemand::value value, data::Column& column, size_t row, ValueContext& context) {
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return context.malformed("a list", value.raw_json_token());
    data::Column& child = column.children()[0];
    uint64_t first = child.size(), count = 0;
    for (auto element : array) {
        ondemand::value item;
        if (auto error = element.get(item)) return broken(error, context);
        size_t at = child.grow(1);
        if (!read_value(shape.children[0], item, child, at, context)) return false;
        ++count;
    }
    column.values<data::ListEntry>()[row] = {first, count};
    return true;
}

bool read_entry(const Shape& shape, ondemand::field& field, data::Column& entries, ValueContext& context) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return broken(error, context);
    size_t at = entries.grow(1);
    if (shape.children[0].type.kind != data::Kind::text)
        return context.refuse("bad_map", "a map whose keys are no texts is not written as an object");
    char* memory = context.block.allocate(key.size());
    std::memcpy(memory, key.data(), key.size());
    entries.children()[0].values<data::StringRef>()[at] = data::StringRef(memory, key.size());
    return read_value(shape.children[1], field.value(), entries.children()[1], at, context);
}

bool read_map(const Shape& shape, ondemand::value value, data::Column& column, size_t row, ValueContext& context) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return context.malformed("a map", value.raw_json_token());
    data::Column& entries = column.children()[0];
    uint64_t first = entries.size(), count = 0;
    for (auto entry : object) {
        ondemand::field field;
        if (auto error = std::move(entry).get(field)) return broken(error, context);
        if (!read_entry(shape, field, entries, context)) return false;
        ++count;
    }
    column.values<data::ListEntry>()[row] = {first, count};
    return true;
}

bool read_structure(const Shape& shape, ondemand::value value, data::Column& column, size_t row,
                    ValueContext& context) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS)
        return context.malformed("a structure", value.raw_json_token());
    for (auto& child : column.children()) child.set_null(row);
    for (auto entry : object) {
        ondemand::field field;
        std::string_view name;
        if (auto error = std::move(entry).get(field)) return broken(error, context);
        if (auto error = field.unescaped_key().get(name)) return broken(error, context);
        auto found = std::ranges::find(shape.names, name);
        if (found == shape.names.end())
            return context.refuse("unknown_field", fmt::format("a structure has an unknown field {}", name));
        auto at = static_cast<size_t>(found - shape.names.begin());
        if (!read_value(shape.children[at], field.value(), column.children()[at], row, context)) return false;
    }
    return true;
}

/// A member of a structure of Debezium's, as text; found in any order.
bool member(ondemand::object& object, const char* name, Scalar& out, ValueContext& context) {
    ondemand::value value;
    if (object.find_field_unordered(name).get(value) != simdjson::SUCCESS)
        return context.refuse("bad_value", fmt::format("a structure lacks its field {}", name));
    return read_scalar(value, out, context);
}

bool read_variable_decimal(ondemand::value value, data::Column& column, size_t row, ValueContext& context) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) {
        // decimal.handling.mode=string and double write the same column as text or number
        Scalar scalar{};
        return read_scalar(value, scalar, context) && read_decimal_text(scalar, column, row, context);
    }
    Scalar scale{}, unscaled{};
    if (!member(object, "scale", scale, context)) return false;
    int64_t places = 0;
    if (auto [end, error] = std::from_chars(scale.text.data(), scale.text.data() + scale.text.size(), places);
        error != std::errc() || places > 1'000'000 || places < -1'000'000)
        return context.malformed("a scale", scale.text);
    if (!member(object, "value", unscaled, context)) return false;
    return read_decimal(unscaled, static_cast<int32_t>(places), column, row, context);
}

/// Well-known binary with the SRID that stands beside it: extended, as PostGIS has it.
bool read_geometry(ondemand::value value, data::Column& column, size_t row, ValueContext& context) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS)
        return context.malformed("a geometry", value.raw_json_token());
    Scalar wkb{}, srid{};
    if (!member(object, "wkb", wkb, context)) return false;
    if (wkb.kind != Scalar::Kind::string) return context.malformed("well-known binary", wkb.text);
    char* bytes = context.block.allocate(decoded_size(wkb.text, Binaries::bytes) + 4);
    auto size = decode_bytes(wkb.text, Binaries::bytes, bytes + 4);
    if (!size || *size < 5) return context.malformed("well-known binary", wkb.text);
    if (!member(object, "srid", srid, context)) return false;
    char* from = bytes + 4;
    bool little = from[0] == 1;
    char& flags = from[little ? 4 : 1];
    uint32_t number = 0;
    bool has = srid.kind == Scalar::Kind::number &&
               std::from_chars(srid.text.data(), srid.text.data() + srid.text.size(), number).ec == std::errc();
    if (has && number != 0 && (flags & 0x20) == 0) {
        flags = static_cast<char>(flags | 0x20);
        std::memmove(bytes, from, 5);
        for (int i = 0; i < 4; ++i) bytes[5 + i] = static_cast<char>(number >> (little ? 8 * i : 24 - 8 * i));
        from = bytes;
        *size += 4;
    }
    column.values<data::StringRef>()[row] = data::StringRef(from, *size);
    return true;
}

bool read_point(ondemand::value value, data::Column& column, size_t row, ValueContext& context) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS)
        return context.malformed("a point", value.raw_json_token());
    std::string text;
    for (const char* name : {"x", "y"}) {
        Scalar part{};
        if (!member(object, name, part, context)) return false;
        double number = 0;
        auto [end, error] = std::from_chars(part.text.data(), part.text.data() + part.text.size(), number);
        if (error != std::errc() && part.kind != Scalar::Kind::string)
            return context.malformed("a coordinate", part.text);
        text += text.empty() ? "(" : ",";
        text += part.kind == Scalar::Kind::string ? std::string(part.text) : fmt::format("{}", number);
    }
    text += ")";
    char* memory = context.block.allocate(text.size());
    std::memcpy(memory, text.data(), text.size());
    column.values<data::StringRef>()[row] = data::StringRef(memory, text.size());
    return true;
}

bool read_text(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    if (scalar.kind != Scalar::Kind::string) return context.malformed("text", scalar.text);
    column.values<data::StringRef>()[row] = data::StringRef(scalar.text);
    return true;
}

bool is_null(ondemand::value& value) {
    std::string_view token = value.raw_json_token();
    return token.starts_with("null");
}

}  // namespace

bool ValueContext::malformed(std::string_view wanted, std::string_view found) {
    constexpr size_t most = 60;
    std::string shown(found.substr(0, most));
    if (found.size() > most) shown += "…";
    return refuse("bad_value", fmt::format("'{}' is not {}", shown, wanted));
}

bool read_scalar(ondemand::value value, Scalar& out, ValueContext& context) {
    std::string_view token = value.raw_json_token();
    while (!token.empty() &&
           (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' || token.back() == '\t'))
        token.remove_suffix(1);
    if (token.starts_with('"')) {
        out.kind = Scalar::Kind::string;
        if (token.size() < 2 || token.back() != '"') return context.malformed("a value", token);
        if (token.find('\\') == token.npos) {
            out.text = token.substr(1, token.size() - 2);
            return true;
        }
        std::string_view unescaped;
        if (auto error = value.get_string().get(unescaped)) return broken(error, context);
        char* memory = context.block.allocate(unescaped.size());
        if (!unescaped.empty()) std::memcpy(memory, unescaped.data(), unescaped.size());
        out.text = {memory, unescaped.size()};
        return true;
    }
    out.text = token;
    if (token == "null") out.kind = Scalar::Kind::null;
    else if (token == "true" || token == "false") out.kind = Scalar::Kind::boolean;
    else if (!token.empty() && (token[0] == '-' || (token[0] >= '0' && token[0] <= '9')))
        out.kind = Scalar::Kind::number;
    else return context.malformed("a value", token);
    return true;
}

bool read_value(const Shape& shape, ondemand::value value, data::Column& column, size_t row, ValueContext& context) {
    if (is_null(value)) return column.set_null(row), true;
    column.set_valid(row);
    switch (shape.wire) {
        case Wire::list: return read_list(shape, value, column, row, context);
        case Wire::map: return read_map(shape, value, column, row, context);
        case Wire::structure: return read_structure(shape, value, column, row, context);
        case Wire::variable_decimal: return read_variable_decimal(value, column, row, context);
        case Wire::geometry: return read_geometry(value, column, row, context);
        case Wire::point: return read_point(value, column, row, context);
        default: break;
    }
    Scalar scalar{};
    if (!read_scalar(value, scalar, context)) return false;
    switch (shape.wire) {
        case Wire::boolean: return read_boolean(scalar, column, row, context);
        case Wire::integer: return read_integer(scalar, column, row, context);
        case Wire::floating: return read_floating(scalar, column, row, context);
        case Wire::text: return read_text(scalar, column, row, context);
        case Wire::uuid: return read_uuid(scalar, column, row, context);
        case Wire::decimal:
            if (scalar.kind == Scalar::Kind::number) return read_decimal_text(scalar, column, row, context);
            return read_decimal(scalar, shape.scale, column, row, context);
        case Wire::decimal_text: return read_decimal_text(scalar, column, row, context);
        case Wire::date: return read_date(scalar, column, row, context);
        case Wire::time: return read_time(scalar, shape.per_second, column, row, context);
        case Wire::timestamp: return read_timestamp(scalar, shape.per_second, column, row, context);
        case Wire::zoned_time: return read_zoned_time(scalar, column, row, context);
        case Wire::interval: return read_interval(scalar, column, row, context);
        case Wire::bytes: return read_bytes(scalar, shape.encoding, column, row, context);
        case Wire::bits: return read_bits(scalar, shape.length, column, row, context);
        default: std::unreachable();
    }
}

}  // namespace penstock::debezium
