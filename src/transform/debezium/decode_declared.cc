// Declared types, for events without schema and over those of one.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "config/suggest.h"
#include "transform/debezium/decode_bytes.h"
#include "transform/debezium/decode_shape.h"

namespace penstock::debezium {
namespace {

using data::Kind;

struct Name {
    std::string_view name;
    Kind kind;
};

constexpr Name names[] = {
    {"boolean", Kind::boolean},
    {"bool", Kind::boolean},
    {"int16", Kind::int16},
    {"smallint", Kind::int16},
    {"int32", Kind::int32},
    {"integer", Kind::int32},
    {"int", Kind::int32},
    {"int64", Kind::int64},
    {"bigint", Kind::int64},
    {"float32", Kind::float32},
    {"real", Kind::float32},
    {"float64", Kind::float64},
    {"double", Kind::float64},
    {"double precision", Kind::float64},
    {"decimal", Kind::decimal},
    {"numeric", Kind::decimal},
    {"text", Kind::text},
    {"varchar", Kind::text},
    {"char", Kind::text},
    {"json", Kind::json},
    {"jsonb", Kind::json},
    {"bytes", Kind::bytes},
    {"bytea", Kind::bytes},
    {"uuid", Kind::uuid},
    {"date", Kind::date},
    {"time", Kind::time},
    {"timetz", Kind::timetz},
    {"timestamp", Kind::timestamp},
    {"timestamptz", Kind::timestamptz},
    {"interval", Kind::interval},
};

struct Declared {
    std::string name;
    std::vector<int> numbers;
    bool list = false;
};

/// "numeric(12, 2)[]"
std::optional<Declared> parse(std::string_view text) {
    auto trim = [](std::string_view part) {
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        return part;
    };
    Declared out;
    text = trim(text);
    if (text.ends_with("[]")) {
        out.list = true;
        text = trim(text.substr(0, text.size() - 2));
    }
    size_t open = text.find('(');
    if (open == text.npos) {
        out.name = text;
    } else {
        out.name = trim(text.substr(0, open));
        if (!text.ends_with(')')) return std::nullopt;
        std::string_view inner = text.substr(open + 1, text.size() - open - 2);
        while (!inner.empty()) {
            size_t comma = std::min(inner.find(','), inner.size());
            std::string_view part = trim(inner.substr(0, comma));
            int number = 0;
            auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
            if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
            out.numbers.push_back(number);
            inner.remove_prefix(std::min(comma + 1, inner.size()));
        }
    }
    std::ranges::transform(out.name, out.name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

Error unknown_type(const std::string& column, std::string_view type) {
    std::vector<std::string> known;
    for (const auto& entry : names) known.emplace_back(entry.name);
    return {
        .kind = ErrorKind::configuration,
        .code = "unknown_type",
        .message = fmt::format("'{}' is no type for column {}{}", type, column, config::did_you_mean(type, known)),
        .hint = "types are written as in Penstock or PostgreSQL: bigint, numeric(12,2), timestamp(3), text, text[]"};
}

/// Units of a time or timestamp of this precision: with `time.precision.mode`.
int64_t units(Times mode, bool time_of_day, int precision) {
    switch (mode) {
        case Times::adaptive: return precision <= 3 ? 1000 : 1'000'000;
        case Times::adaptive_time: return !time_of_day && precision <= 3 ? 1000 : 1'000'000;
        case Times::microseconds: return 1'000'000;
        case Times::nanoseconds: return 1'000'000'000;
        case Times::connect: return 1000;
        case Times::isostring: return 1'000'000;  // a text says itself what it is
    }
    std::unreachable();
}

Shape numeric(const Declared& type, const std::string& table, const std::string& column, const DecodeOptions& options) {
    bool text = options.decimals != Decimals::precise;
    if (type.numbers.empty())
        return unbounded_numeric(text ? Wire::decimal_text : Wire::variable_decimal, table, column, options);
    int scale = type.numbers.size() > 1 ? type.numbers[1] : 0;
    Shape out = bounded_numeric(text ? Wire::decimal_text : Wire::decimal, type.numbers[0], scale, options);
    out.scale = scale;
    return out;
}

Shape of_kind(Kind kind, const Declared& type, const std::string& table, const std::string& column,
              const DecodeOptions& options) {
    Shape out{.type = data::scalar(kind)};
    int precision = type.numbers.empty() ? 6 : type.numbers[0];
    switch (kind) {
        case Kind::boolean: out.wire = Wire::boolean; break;
        case Kind::int16:
        case Kind::int32:
        case Kind::int64: out.wire = Wire::integer; break;
        case Kind::float32:
        case Kind::float64: out.wire = Wire::floating; break;
        case Kind::decimal: return numeric(type, table, column, options);
        case Kind::uuid: out.wire = Wire::uuid; break;
        case Kind::bytes:
            out.wire = Wire::bytes;
            out.encoding = options.binaries;
            break;
        case Kind::date: out.wire = Wire::date; break;
        case Kind::time:
            out.wire = Wire::time;
            out.per_second = units(options.times, true, precision);
            break;
        case Kind::timestamp:
            out.wire = Wire::timestamp;
            out.per_second = units(options.times, false, precision);
            break;
        case Kind::timestamptz: out.wire = Wire::timestamp; break;
        case Kind::timetz:
            out.wire = Wire::zoned_time;
            if (!options.holds.timetz) out.type = data::scalar(Kind::text);
            break;
        case Kind::interval:
            // As a number it is Debezium's guess, kept as that.
            out.wire = options.intervals == Intervals::string ? Wire::interval : Wire::integer;
            if (out.wire == Wire::integer) out.type = data::scalar(Kind::int64);
            else if (!options.holds.interval) out = {.wire = Wire::text, .type = data::scalar(Kind::text)};
            break;
        default: out.wire = Wire::text;
    }
    return out;
}

std::string in_quotes(std::string_view text) { return fmt::format("\"{}\"", text); }

}  // namespace

Shape unbounded_numeric(Wire wire, const std::string& table, const std::string& column, const DecodeOptions& options) {
    const auto& policy = options.policies.numeric.of(table, column);
    if (options.policies.special_numbers == config::SpecialNumbers::text || policy.form == config::NumericForm::text)
        return {.wire = wire, .type = data::scalar(Kind::text)};
    if (policy.form == config::NumericForm::floating) return {.wire = wire, .type = data::scalar(Kind::float64)};
    return {.wire = wire, .type = data::decimal(policy.precision, policy.scale)};
}

Shape bounded_numeric(Wire wire, int precision, int scale, const DecodeOptions& options) {
    bool fits = precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision;
    if (!fits || options.policies.special_numbers == config::SpecialNumbers::text)
        return {.wire = wire, .type = data::scalar(Kind::text), .scale = scale};
    return {.wire = wire, .type = data::decimal(precision, scale), .scale = scale};
}

Result<Shape> declared_shape(const std::string& table, const std::string& column, std::string_view type,
                             const DecodeOptions& options) {
    auto parsed = parse(type);
    if (!parsed) return fail(unknown_type(column, type));
    bool is_bits = parsed->name == "bit" && parsed->numbers.size() == 1 && parsed->numbers[0] > 1;
    Shape element;
    if (is_bits) {
        element = {.wire = Wire::bits, .type = data::scalar(Kind::text), .length = parsed->numbers[0]};
    } else {
        const auto* known = std::ranges::find(names, parsed->name, &Name::name);
        if (known == std::end(names)) return fail(unknown_type(column, type));
        element = of_kind(known->kind, *parsed, table, column, options);
    }
    if (!parsed->list) return element;
    Shape out{.wire = Wire::list, .type = data::list_of(element.type)};
    out.children.push_back(std::move(element));
    return out;
}

Result<std::vector<ColumnShape>> columns_of_options(const std::string& table, const DecodeOptions& options) {
    std::vector<ColumnShape> columns;
    for (const auto& [name, type] : options.columns) {
        ColumnShape column;
        PN_TRY(column.shape, declared_shape(table, name, type, options));
        column.field = {.name = name, .type = column.shape.type, .source_type = type};
        set_placeholders(column, options);
        columns.push_back(std::move(column));
    }
    return columns;
}

/// See UnchangedToastedPlaceholder.java: texts and JSON are the placeholder itself, bytes its bytes, arrays have it as their one
/// element, arrays of integers its bytes as numbers, maps it under itself.
void set_placeholders(ColumnShape& column, const DecodeOptions& options) {
    std::string text = in_quotes(options.unavailable);
    auto encoded = [&](Binaries encoding) { return in_quotes(encode_bytes(options.unavailable, encoding)); };
    const Shape& shape = column.shape;
    switch (shape.wire) {
        case Wire::text:
        case Wire::decimal_text: column.placeholders = {text}; break;
        case Wire::bytes: column.placeholders = {encoded(shape.encoding), text}; break;
        case Wire::geometry: column.placeholders = {"{\"wkb\":" + encoded(Binaries::bytes)}; break;
        case Wire::map: column.placeholders = {fmt::format("{{{0}:{0}}}", text)}; break;
        case Wire::list: {
            std::string numbers;
            for (char byte : options.unavailable)
                numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", static_cast<int>(byte));
            column.placeholders = {fmt::format("[{}]", text), fmt::format("[{}]", encoded(Binaries::bytes)),
                                   fmt::format("[{}]", numbers),
                                   fmt::format("[{}]", in_quotes(uuid_of(options.unavailable)))};
            break;
        }
        default: break;
    }
    // hstore as JSON
    if (shape.type.kind == Kind::json)
        column.placeholders.push_back(fmt::format("\"{{\\\"{0}\\\":\\\"{0}\\\"}}\"", options.unavailable));
}

}  // namespace penstock::debezium
