#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "transform/debezium/json_text.h"
#include "transform/debezium/value_encoder.h"

namespace penstock::debezium {

/// A Connect type: its JSON, and the name that says what it means.
struct Form {
    std::string head;
    std::string tail = {};
    std::string unavailable = "null";
};

inline Form form(std::string_view type, std::string_view name = {}, std::string_view further = {}) {
    Form out{.head = "\"type\":" + json_string(type)};
    if (!name.empty()) out.tail = ",\"name\":" + json_string(name) + ",\"version\":1" + std::string(further);
    if (type == "string") out.unavailable = json_string(unavailable_value);
    return out;
}

/// An encoder out of a function (column, row, out) -> bool.
template <class Write>
class FormedValue final : public ValueEncoder {
  public:
    FormedValue(Form form, Write write) : form_(std::move(form)), write_(std::move(write)) {}
    bool append(const data::Column& column, size_t row, Out& out) const override { return write_(column, row, out); }
    void append_unavailable(std::string& out) const override { out += form_.unavailable; }
    std::string schema_head() const override { return form_.head; }
    std::string schema_tail() const override { return form_.tail; }

  private:
    Form form_;
    Write write_;
};

/// The same of a function that always can: (column, row, text).
template <class Write>
ValueEncoderPtr formed(Form form, Write write) {
    auto always = [write = std::move(write)](const data::Column& column, size_t row, Out& out) {
        write(column, row, out.text);
        return true;
    };
    return std::make_unique<FormedValue<decltype(always)>>(std::move(form), std::move(always));
}
template <class Write>
ValueEncoderPtr formed_or_refused(Form form, Write write) {
    return std::make_unique<FormedValue<Write>>(std::move(form), std::move(write));
}

inline std::string_view text_at(const data::Column& column, size_t row) {
    return column.values<data::StringRef>()[row].view();
}

/// numeric(12,2) of a block's integers.
ValueEncoderPtr decimal_value(const data::Type& type, Decimals mode);
/// Numbers that come as their text: those without bounds, and those of more than 38 digits. A `scale` < 0 is each value's own.
ValueEncoderPtr numeric_text_value(int precision, int scale, Decimals mode);
ValueEncoderPtr money_value(Decimals mode);

/// `precision` is that of the seconds' fraction, 0 to 6.
ValueEncoderPtr date_value(Times mode);
ValueEncoderPtr time_value(int precision, Times mode);
ValueEncoderPtr timetz_value();
ValueEncoderPtr timestamp_value(int precision, Times mode);
ValueEncoderPtr timestamptz_value();
ValueEncoderPtr interval_value(Intervals mode);

ValueEncoderPtr bytes_value(Binaries mode);
/// 10110 as bits, the last one lowest: a boolean where there is one.
ValueEncoderPtr bits_value(int length, bool fixed);
/// (1,2)
ValueEncoderPtr point_value();
/// EWKB.
ValueEncoderPtr geometry_value(std::string_view name);
ValueEncoderPtr hstore_value();

}  // namespace penstock::debezium
