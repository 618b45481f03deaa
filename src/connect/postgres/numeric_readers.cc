#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "connect/postgres/numeric.h"
#include "connect/postgres/reader.h"
#include "connect/postgres/text_form.h"

namespace penstock::postgres {
namespace {

std::optional<Numeric> parse(FieldRef field, ReadContext& context) {
    auto value = Numeric::parse(field.view());
    if (!value) context.refuse("malformed", fmt::format("the server sent {} bytes that are no numeric", field.length));
    return value;
}

void render_numeric(FieldRef field, std::string& json) {
    auto value = Numeric::parse(field.view());
    if (!value) return append_json_bytes(field.view(), json);
    if (value->special() == Numeric::Special::none) json += value->text();
    else append_json_string(value->text(), json);
}

data::StringRef keep(std::string_view text, ReadContext& context) {
    char* memory = context.block.allocate(text.size());
    std::memcpy(memory, text.data(), text.size());
    return {memory, text.size()};
}

template <class Stored>
class DecimalReader final : public ReaderOf<DecimalReader<Stored>> {
  public:
    DecimalReader(int precision, int scale, config::SpecialNumbers specials)
        : precision_(precision), scale_(scale), specials_(specials) {
        for (int i = 0; i < std::min(precision, 18); ++i) small_limit_ *= 10;
    }

    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (auto small = Numeric::scaled_small(field.view(), scale_, small_limit_)) [[likely]] {
            column.values<Stored>()[row] = static_cast<Stored>(*small);
            return true;
        }
        auto value = parse(field, context);
        if (!value) return false;
        auto scaled = value->scaled(precision_, scale_);
        if (!scaled) [[unlikely]]
            return unheld(*value, column, row, context);
        column.values<Stored>()[row] = static_cast<Stored>(*scaled);
        return true;
    }
    void render(FieldRef field, std::string& json) const override { render_numeric(field, json); }

  private:
    bool unheld(const Numeric& value, data::Column& column, size_t row, ReadContext& context) const {
        if (value.special() != Numeric::Special::none) {
            if (specials_ == config::SpecialNumbers::null) return column.set_null(row), true;
            return context.refuse("special_number",
                                  fmt::format("{} has no place in decimal({},{})", value.text(), precision_, scale_));
        }
        return context.refuse("numeric_overflow",
                              fmt::format("a number with precision {} and scale {} does not fit decimal({},{})",
                                          value.precision(), value.scale(), precision_, scale_));
    }

    int precision_;
    int scale_;
    config::SpecialNumbers specials_;
    int64_t small_limit_ = 1;
};

class NumericTextReader final : public ReaderOf<NumericTextReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        auto value = parse(field, context);
        if (!value) return false;
        column.values<data::StringRef>()[row] = keep(value->text(), context);
        return true;
    }
    void render(FieldRef field, std::string& json) const override { render_numeric(field, json); }
};

/// The nearest double, as the user asked for.
class NumericFloatReader final : public ReaderOf<NumericFloatReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        auto value = parse(field, context);
        if (!value) return false;
        double number = std::strtod(value->text().c_str(), nullptr);
        if (std::isinf(number) && value->special() == Numeric::Special::none)
            return context.refuse("numeric_overflow",
                                  fmt::format("a number with precision {} and scale {} does not fit a double",
                                              value->precision(), value->scale()));
        column.values<double>()[row] = number;
        return true;
    }
    void render(FieldRef field, std::string& json) const override { render_numeric(field, json); }
};

}  // namespace

ReaderPtr decimal_reader(int precision, int scale, config::SpecialNumbers specials) {
    switch (data::layout_of(data::decimal(precision, scale))) {
        case data::Layout::int16: return std::make_shared<DecimalReader<int16_t>>(precision, scale, specials);
        case data::Layout::int32: return std::make_shared<DecimalReader<int32_t>>(precision, scale, specials);
        case data::Layout::int64: return std::make_shared<DecimalReader<int64_t>>(precision, scale, specials);
        default: return std::make_shared<DecimalReader<data::Int128>>(precision, scale, specials);
    }
}

ReaderPtr numeric_text_reader() { return std::make_shared<NumericTextReader>(); }
ReaderPtr numeric_float64_reader() { return std::make_shared<NumericFloatReader>(); }

}  // namespace penstock::postgres
