#include <fmt/format.h>

#include "transform/debezium/decimals.h"
#include "transform/debezium/value_forms.h"

namespace penstock::debezium {
namespace {

Form decimal_form(int precision, int scale, Decimals mode) {
    if (mode == Decimals::string) return form("string");
    if (mode == Decimals::floating) return form("double");
    std::string digits = precision == 0 ? "" : fmt::format(",\"connect.decimal.precision\":\"{}\"", precision);
    return form("bytes", "org.apache.kafka.connect.data.Decimal",
                fmt::format(",\"parameters\":{{\"scale\":\"{}\"{}}}", scale, digits));
}

Form variable_form(Decimals mode) {
    if (mode != Decimals::precise) return decimal_form(0, 0, mode);
    Form out = form("struct", "io.debezium.data.VariableScaleDecimal", ",\"doc\":\"Variable scaled decimal\"");
    out.head +=
        R"(,"fields":[{"type":"int32","optional":false,"field":"scale"},{"type":"bytes","optional":false,"field":"value"}])";
    return out;
}

/// A decimal text is a JSON number as it is: no digit is lost on our side.
void append_text_number(std::string_view text, Decimals mode, std::string& out) {
    bool number = parse_decimal(text).has_value();
    if (mode == Decimals::string || !number) append_json_string(text, out);
    else out += text;
}

/// Fewer digits than the column has are filled up.
void rescale(DecimalText& number, int scale) {
    if (number.scale < scale) number.digits.append(static_cast<size_t>(scale - number.scale), '0');
    number.scale = scale;
}

void append_decimal_text(const DecimalText& number, Decimals mode, std::string& out) {
    std::string text = number.negative ? "-" : "";
    size_t whole = number.digits.size() - static_cast<size_t>(number.scale);
    size_t from = std::min(number.digits.find_first_not_of('0'), whole - 1);
    text += number.digits.substr(from, whole - from) + "." + number.digits.substr(whole);
    append_text_number(text, mode, out);
}

template <class T>
ValueEncoderPtr integer_decimal(int precision, int scale, Decimals mode) {
    auto shape = decimal_form(precision, scale, mode);
    if (mode == Decimals::precise)
        return formed(std::move(shape), [](const data::Column& column, size_t row, std::string& out) {
            out += '"';
            append_unscaled(column.values<T>()[row], out);
            out += '"';
        });
    return formed(std::move(shape), [scale, mode](const data::Column& column, size_t row, std::string& out) {
        if (mode == Decimals::string) out += '"';
        append_decimal(column.values<T>()[row], scale, out);
        if (mode == Decimals::string) out += '"';
    });
}

}  // namespace

ValueEncoderPtr decimal_value(const data::Type& type, Decimals mode) {
    switch (data::layout_of(type)) {
        case data::Layout::int16: return integer_decimal<int16_t>(type.precision, type.scale, mode);
        case data::Layout::int32: return integer_decimal<int32_t>(type.precision, type.scale, mode);
        case data::Layout::int64: return integer_decimal<int64_t>(type.precision, type.scale, mode);
        default: return integer_decimal<data::Int128>(type.precision, type.scale, mode);
    }
}

ValueEncoderPtr numeric_text_value(int precision, int scale, Decimals mode) {
    auto shape = scale < 0 ? variable_form(mode) : decimal_form(precision, scale, mode);
    if (mode != Decimals::precise)
        return formed(std::move(shape), [mode](const data::Column& column, size_t row, std::string& out) {
            append_text_number(text_at(column, row), mode, out);
        });
    return formed_or_refused(std::move(shape), [scale](const data::Column& column, size_t row, Out& out) {
        auto number = parse_decimal(text_at(column, row));
        if (!number) {
            out.refusal = fmt::format("{} is no decimal: `decimals: string` can write it", text_at(column, row));
            return false;
        }
        if (scale < 0) {
            out.text += "{\"scale\":";
            append_integer(number->scale, out.text);
            out.text += ",\"value\":";
        } else {
            rescale(*number, scale);
        }
        out.text += '"';
        append_unscaled(*number, out.text);
        out.text += scale < 0 ? "\"}" : "\"";
        return true;
    });
}

ValueEncoderPtr money_value(Decimals mode) {
    return formed_or_refused(decimal_form(0, 2, mode), [mode](const data::Column& column, size_t row, Out& out) {
        auto number = parse_money(text_at(column, row));
        if (!number) {
            out.refusal = fmt::format("{} is no amount of money", text_at(column, row));
            return false;
        }
        if (mode != Decimals::precise) {
            append_decimal_text(*number, mode, out.text);
            return true;
        }
        out.text += '"';
        append_unscaled(*number, out.text);
        out.text += '"';
        return true;
    });
}

}  // namespace penstock::debezium
