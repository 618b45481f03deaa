// Kafka Connect schemas, as JsonConverter writes them, with Debezium's and Connect's own logical types.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "transform/debezium/decode_shape.h"

namespace penstock::debezium {
namespace {

using data::Kind;
using nlohmann::json;

constexpr int deepest = 16;

Error bad_schema(std::string why) {
    return {.kind = ErrorKind::data,
            .code = "bad_schema",
            .message = fmt::format("the schema of an event is none of Kafka Connect's: {}", why),
            .hint =
                "the topic must hold Debezium's change events as JSON, written by Kafka Connect's JsonConverter or "
                "by Penstock"};
}

class SchemaReader {
  public:
    SchemaReader(const std::string& table, const DecodeOptions& options) : table_(table), options_(options) {}

    Result<Shape> shape(const json& schema, const std::string& column, int depth) const {
        if (depth > deepest) return fail(bad_schema("it is nested too deeply"));
        std::string type = schema.at("type").get<std::string>();
        std::string name =
            schema.contains("name") && schema["name"].is_string() ? schema["name"].get<std::string>() : "";
        if (auto known = logical(schema, name, type, column)) return *known;
        if (type == "boolean") return plain(Wire::boolean, Kind::boolean);
        if (type == "int8" || type == "int16") return plain(Wire::integer, Kind::int16);
        if (type == "int32") return plain(Wire::integer, Kind::int32);
        if (type == "int64") return plain(Wire::integer, Kind::int64);
        if (type == "float") return plain(Wire::floating, Kind::float32);
        if (type == "double") return plain(Wire::floating, Kind::float64);
        if (type == "string") return plain(Wire::text, Kind::text);
        if (type == "bytes") return plain(Wire::bytes, Kind::bytes);
        if (type == "array") return list(schema, column, depth);
        if (type == "map") return map(schema, column, depth);
        if (type == "struct") return structure(schema, column, depth);
        return fail(bad_schema(fmt::format("type {} of {} is unknown", type, column)));
    }

  private:
    static Shape plain(Wire wire, Kind kind) { return {.wire = wire, .type = data::scalar(kind)}; }
    static Shape timed(Wire wire, Kind kind, int64_t per_second) {
        return {.wire = wire, .type = data::scalar(kind), .per_second = per_second};
    }

    static std::optional<int> parameter(const json& schema, const char* name) {
        auto parameters = schema.find("parameters");
        if (parameters == schema.end() || !parameters->is_object() || !parameters->contains(name)) return std::nullopt;
        const auto& value = (*parameters)[name];
        if (!value.is_string()) return std::nullopt;
        const auto& text = value.get_ref<const std::string&>();
        int number = 0;
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
        return number;
    }

    std::optional<Shape> logical(const json& schema, std::string_view name, std::string_view type,
                                 const std::string& column) const {
        constexpr std::string_view connect = "org.apache.kafka.connect.data.", debezium = "io.debezium.";
        if (name.starts_with(connect)) return of_connect(schema, name.substr(connect.size()));
        if (!name.starts_with(debezium)) return std::nullopt;
        name.remove_prefix(debezium.size());
        if (name.starts_with("time.")) return of_time(name.substr(5));
        if (!name.starts_with("data.")) return std::nullopt;
        return of_data(schema, name.substr(5), type, column);
    }

    std::optional<Shape> of_connect(const json& schema, std::string_view name) const {
        if (name == "Date") return plain(Wire::date, Kind::date);
        if (name == "Time") return timed(Wire::time, Kind::time, 1000);
        if (name == "Timestamp") return timed(Wire::timestamp, Kind::timestamp, 1000);
        if (name != "Decimal") return std::nullopt;
        int scale = parameter(schema, "scale").value_or(0);
        int precision = parameter(schema, "connect.decimal.precision").value_or(38);
        Shape out = bounded_numeric(Wire::decimal, precision, scale, options_);
        out.scale = scale;
        return out;
    }

    std::optional<Shape> of_time(std::string_view name) const {
        if (name == "Date" || name == "IsoDate") return plain(Wire::date, Kind::date);
        if (name == "Time") return timed(Wire::time, Kind::time, 1000);
        if (name == "MicroTime" || name == "IsoTime") return timed(Wire::time, Kind::time, 1'000'000);
        if (name == "NanoTime") return timed(Wire::time, Kind::time, 1'000'000'000);
        if (name == "Timestamp") return timed(Wire::timestamp, Kind::timestamp, 1000);
        if (name == "MicroTimestamp" || name == "IsoTimestamp")
            return timed(Wire::timestamp, Kind::timestamp, 1'000'000);
        if (name == "NanoTimestamp") return timed(Wire::timestamp, Kind::timestamp, 1'000'000'000);
        if (name == "ZonedTimestamp") return timed(Wire::timestamp, Kind::timestamptz, 1'000'000);
        if (name == "ZonedTime") return plain(Wire::zoned_time, options_.holds.timetz ? Kind::timetz : Kind::text);
        if (name == "Interval")
            return options_.holds.interval ? plain(Wire::interval, Kind::interval) : plain(Wire::text, Kind::text);
        // MicroDuration and NanoDuration took months for days: what they were cannot be known. Year is a number.
        return std::nullopt;
    }

    std::optional<Shape> of_data(const json&, std::string_view name, std::string_view type,
                                 const std::string& column) const {
        if (name == "Json") return plain(Wire::text, Kind::json);
        if (name == "Uuid") return plain(Wire::uuid, Kind::uuid);
        if (name == "VariableScaleDecimal") return unbounded_numeric(Wire::variable_decimal, table_, column, options_);
        if (name == "geometry.Geometry" || name == "geometry.Geography") return plain(Wire::geometry, Kind::bytes);
        if (name == "geometry.Point") return plain(Wire::point, Kind::text);
        static_cast<void>(type);
        return std::nullopt;  // Enum, EnumSet, Xml, Ltree, Tsvector are texts; Bits are bytes
    }

    Result<Shape> list(const json& schema, const std::string& column, int depth) const {
        PN_TRY(Shape element, shape(schema.at("items"), column, depth + 1));
        Shape out{.wire = Wire::list, .type = data::list_of(element.type)};
        out.children.push_back(std::move(element));
        return out;
    }

    Result<Shape> map(const json& schema, const std::string& column, int depth) const {
        PN_TRY(Shape key, shape(schema.at("keys"), column, depth + 1));
        PN_TRY(Shape value, shape(schema.at("values"), column, depth + 1));
        Shape out{.wire = Wire::map, .type = data::map_of(key.type, value.type)};
        out.children.push_back(std::move(key));
        out.children.push_back(std::move(value));
        return out;
    }

    Result<Shape> structure(const json& schema, const std::string& column, int depth) const {
        Shape out{.wire = Wire::structure};
        std::vector<data::Field> fields;
        for (const auto& field : schema.at("fields")) {
            PN_TRY(Shape child, shape(field, column, depth + 1));
            std::string name = field.at("field").get<std::string>();
            fields.push_back({.name = name, .type = child.type});
            out.names.push_back(std::move(name));
            out.children.push_back(std::move(child));
        }
        if (fields.empty()) return fail(bad_schema(fmt::format("{} is a structure without fields", column)));
        out.type = data::structure_of(std::move(fields));
        return out;
    }

    const std::string& table_;
    const DecodeOptions& options_;
};

std::string note_of(std::string_view name) {
    if (name == "io.debezium.time.MicroDuration" || name == "io.debezium.time.NanoDuration")
        return "Debezium took a month for 30.4375 days: interval.handling.mode=string keeps what it was";
    if (name == "io.debezium.time.ZonedTime") return "Debezium turned it to UTC";
    if (name == "io.debezium.data.Bits") return "the lowest bits first, as Debezium writes them";
    if (name == "io.debezium.data.VariableScaleDecimal") return "NaN and infinity are NULL in Debezium's events";
    return "";
}

const std::string* declared(const DecodeOptions& options, const std::string& column) {
    for (const auto& [name, type] : options.columns)
        if (name == column) return &type;
    return nullptr;
}

Result<ColumnShape> column_of(const json& schema, const std::string& table, const DecodeOptions& options) {
    std::string name = schema.at("field").get<std::string>();
    std::string logical =
        schema.contains("name") && schema["name"].is_string() ? schema["name"].get<std::string>() : "";
    ColumnShape out;
    if (const auto* type = declared(options, name)) {
        PN_TRY(out.shape, declared_shape(table, name, *type, options));
        // How it is written, the schema knows better.
        PN_TRY(auto written, SchemaReader(table, options).shape(schema, name, 0));
        bool same_units = written.wire == out.shape.wire;
        if (same_units) out.shape.per_second = written.per_second, out.shape.scale = written.scale;
        if (written.wire == Wire::variable_decimal && out.shape.wire == Wire::decimal) out.shape.wire = written.wire;
        if (written.wire == Wire::text && out.shape.wire == Wire::decimal) out.shape.wire = Wire::decimal_text;
        if (written.wire == Wire::bytes && out.shape.wire == Wire::bytes) out.shape.encoding = Binaries::bytes;
    } else {
        PN_TRY(out.shape, SchemaReader(table, options).shape(schema, name, 0));
    }
    out.field = {.name = name,
                 .type = out.shape.type,
                 .nullable = !schema.contains("optional") || schema["optional"] != json(false),
                 .source_type = logical.empty() ? schema.at("type").get<std::string>() : logical,
                 .note = note_of(logical)};
    set_placeholders(out, options);
    return out;
}

const json* row_schema(const json& envelope) {
    if (!envelope.is_object() || !envelope.contains("fields")) return nullptr;
    for (const auto& field : envelope["fields"])
        if (field.is_object() && field.contains("fields") && field.value("field", "") == "after") return &field;
    return nullptr;
}

}  // namespace

Result<std::vector<ColumnShape>> columns_of_schema(std::string_view schema, const std::string& table,
                                                   const DecodeOptions& options) {
    try {
        json envelope = json::parse(schema);
        const json* row = row_schema(envelope);
        if (row == nullptr) return fail(bad_schema("it has no field `after`"));
        std::vector<ColumnShape> columns;
        for (const auto& field : (*row)["fields"]) {
            PN_TRY(auto column, column_of(field, table, options));
            columns.push_back(std::move(column));
        }
        if (columns.empty()) return fail(bad_schema("its rows have no columns"));
        return columns;
    } catch (const json::exception& error) {
        return fail(bad_schema(error.what()));
    }
}

Result<std::vector<std::string>> key_of_schema(std::string_view schema) {
    try {
        std::vector<std::string> names;
        json parsed = json::parse(schema);
        for (const auto& field : parsed.at("fields")) names.push_back(field.at("field").get<std::string>());
        return names;
    } catch (const json::exception& error) {
        return fail(bad_schema(error.what()));
    }
}

}  // namespace penstock::debezium
