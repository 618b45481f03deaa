#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "base/hex.h"
#include "transform/debezium/decode_bytes.h"
#include "transform/debezium/decode_number.h"
#include "transform/debezium/decode_value.h"

namespace penstock::debezium {
namespace {

using data::Kind;

void store_text(std::string_view text, data::Column& column, size_t row, ValueContext& context) {
    char* memory = context.block.allocate(text.size());
    if (!text.empty()) std::memcpy(memory, text.data(), text.size());
    column.values<data::StringRef>()[row] = data::StringRef(memory, text.size());
}

bool store_digits(const Digits& digits, data::Column& column, size_t row, ValueContext& context) {
    const data::Type& type = column.type();
    if (type.kind == Kind::decimal) {
        auto value = digits.scaled(type.precision, type.scale);
        if (!value)
            return context.refuse(
                "numeric_overflow",
                fmt::format("the value needs decimal({},{}), which does not fit decimal({},{})",
                            digits.needed_precision(), digits.needed_scale(), type.precision, type.scale));
        store_decimal(*value, column, row);
        return true;
    }
    auto text = digits.text();
    if (!text) return context.refuse("numeric_overflow", "the value has more digits than PostgreSQL's numeric holds");
    if (type.kind == Kind::text) return store_text(*text, column, row, context), true;
    double number = 0;
    std::from_chars(text->data(), text->data() + text->size(), number);
    column.values<double>()[row] = number;
    return true;
}

/// Debezium writes NAN, POSITIVE_INFINITY and NEGATIVE_INFINITY, Penstock what PostgreSQL does.
const char* special_number(std::string_view text) {
    auto is = [&](std::string_view name) {
        return std::ranges::equal(text, name, {}, [](unsigned char c) { return std::tolower(c); });
    };
    if (is("nan")) return "NaN";
    if (is("infinity") || is("positive_infinity")) return "Infinity";
    if (is("-infinity") || is("negative_infinity")) return "-Infinity";
    return nullptr;
}

bool store_special(const char* name, data::Column& column, size_t row, ValueContext& context) {
    switch (column.type().kind) {
        case Kind::text: return store_text(name, column, row, context), true;
        case Kind::float64: {
            double number =
                name[0] == 'N' ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
            column.values<double>()[row] = name[0] == '-' ? -number : number;
            return true;
        }
        default: break;
    }
    if (context.options.policies.special_numbers == config::SpecialNumbers::null) return column.set_null(row), true;
    return context.refuse("special_number", fmt::format("{} has no place in a decimal", name));
}

template <class T>
bool store_integer(int64_t value, data::Column& column, size_t row, ValueContext& context) {
    if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max())
        return context.refuse("out_of_range", fmt::format("{} does not fit {}", value, data::to_string(column.type())));
    column.values<T>()[row] = static_cast<T>(value);
    return true;
}

template <class T>
bool store_floating(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    T& value = column.values<T>()[row];
    if (scalar.kind == Scalar::Kind::number) {
        auto [end, error] = std::from_chars(scalar.text.data(), scalar.text.data() + scalar.text.size(), value);
        if (end != scalar.text.data() + scalar.text.size() || error == std::errc::invalid_argument)
            return context.malformed("a number", scalar.text);
        if (error != std::errc())
            return context.refuse("out_of_range", fmt::format("{} does not fit the column", scalar.text));
        return true;
    }
    const char* name = scalar.kind == Scalar::Kind::string ? special_number(scalar.text) : nullptr;
    if (name == nullptr) return context.malformed("a number", scalar.text);
    value = name[0] == 'N' ? std::numeric_limits<T>::quiet_NaN() : std::numeric_limits<T>::infinity();
    if (name[0] == '-') value = -value;
    return true;
}

}  // namespace

bool read_boolean(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    if (scalar.kind != Scalar::Kind::boolean) return context.malformed("true or false", scalar.text);
    column.values<int8_t>()[row] = scalar.text == "true";
    return true;
}

bool read_integer(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    auto value = scalar.kind == Scalar::Kind::number ? parse_integer(scalar.text) : std::nullopt;
    if (!value) return context.malformed("an integer of 64 bits", scalar.text);
    switch (column.layout()) {
        case data::Layout::int16: return store_integer<int16_t>(*value, column, row, context);
        case data::Layout::int32: return store_integer<int32_t>(*value, column, row, context);
        default: column.values<int64_t>()[row] = *value; return true;
    }
}

bool read_floating(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    if (column.layout() == data::Layout::float32) return store_floating<float>(scalar, column, row, context);
    return store_floating<double>(scalar, column, row, context);
}

/// DuckDB's: 128 bits with the top one flipped.
bool read_uuid(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    __extension__ unsigned __int128 value = 0;
    int digits = 0;
    for (char c : scalar.text) {
        if (c == '-') continue;
        int digit = hex_value(c);
        if (digit < 0 || ++digits > 32) return context.malformed("a uuid", scalar.text);
        value = value << 4 | static_cast<unsigned>(digit);
    }
    if (digits != 32 || scalar.kind != Scalar::Kind::string) return context.malformed("a uuid", scalar.text);
    __extension__ constexpr unsigned __int128 top = static_cast<unsigned __int128>(1) << 127;
    column.values<data::Int128>()[row] = static_cast<data::Int128>(value ^ top);
    return true;
}

bool read_bytes(const Scalar& scalar, Binaries encoding, data::Column& column, size_t row, ValueContext& context) {
    const char* name = encoding == Binaries::hex ? "hexadecimal" : "base64";
    if (scalar.kind != Scalar::Kind::string) return context.malformed(name, scalar.text);
    char* memory = context.block.allocate(decoded_size(scalar.text, encoding));
    auto size = decode_bytes(scalar.text, encoding, memory);
    if (!size) return context.malformed(name, scalar.text);
    column.values<data::StringRef>()[row] = data::StringRef(memory, *size);
    return true;
}

bool read_bits(const Scalar& scalar, int32_t length, data::Column& column, size_t row, ValueContext& context) {
    if (scalar.kind != Scalar::Kind::string) return context.malformed("base64", scalar.text);
    std::string bytes(decoded_size(scalar.text, Binaries::bytes), '\0');
    auto size = decode_bytes(scalar.text, Binaries::bytes, bytes.data());
    if (!size) return context.malformed("base64", scalar.text);
    std::string bits(static_cast<size_t>(length), '0');
    for (size_t i = 0; i < *size * 8; ++i) {
        bool set = (static_cast<uint8_t>(bytes[i / 8]) >> (i % 8) & 1) != 0;
        if (set && i >= bits.size()) return context.refuse("out_of_range", fmt::format("more than {} bits", length));
        if (set) bits[bits.size() - 1 - i] = '1';
    }
    return store_text(bits, column, row, context), true;
}

bool read_decimal(const Scalar& scalar, int32_t scale, data::Column& column, size_t row, ValueContext& context) {
    if (scalar.kind != Scalar::Kind::string) return context.malformed("a decimal's base64", scalar.text);
    std::string bytes(decoded_size(scalar.text, Binaries::bytes), '\0');
    auto size = decode_bytes(scalar.text, Binaries::bytes, bytes.data());
    if (!size || *size == 0) return context.malformed("a decimal's base64", scalar.text);
    const data::Type& type = column.type();
    if (*size <= 8 && type.kind == Kind::decimal && type.scale == scale && type.precision <= 18) {
        auto value = static_cast<int64_t>(static_cast<int8_t>(bytes[0]));
        for (size_t i = 1; i < *size; ++i)
            value = static_cast<int64_t>(static_cast<uint64_t>(value) << 8 | static_cast<uint8_t>(bytes[i]));
        int64_t limit = 1;
        for (int i = 0; i < type.precision; ++i) limit *= 10;
        if (value > -limit && value < limit) return store_decimal(value, column, row), true;
    }
    return store_digits(Digits::of_unscaled(std::string_view(bytes).substr(0, *size), scale), column, row, context);
}

bool read_decimal_text(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    if (scalar.kind == Scalar::Kind::boolean) return context.malformed("a number", scalar.text);
    if (auto digits = Digits::parse(scalar.text)) return store_digits(*digits, column, row, context);
    if (const char* name = special_number(scalar.text)) return store_special(name, column, row, context);
    return context.malformed("a number", scalar.text);
}

}  // namespace penstock::debezium
