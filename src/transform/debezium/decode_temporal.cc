#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "base/calendar.h"
#include "data/timetz.h"
#include "transform/debezium/decode_number.h"
#include "transform/debezium/decode_time.h"
#include "transform/debezium/decode_value.h"

namespace penstock::debezium {
namespace {

__extension__ using Wide = __int128;

/// java.sql's for PostgreSQL's infinity (PGStatement.DATE_POSITIVE_INFINITY), in milliseconds.
constexpr int64_t late_millis = 9223372036825200000;
constexpr int64_t early_millis = -9223372036832400000;
/// The same as years of ISO 8601.
constexpr int64_t late_year = 292278994;
constexpr int64_t early_year = -292269054;

/// Kept, or as `special_dates` says; dates count days, all else microseconds.
bool store_infinite(bool positive, data::Column& column, size_t row, ValueContext& context) {
    bool days = column.layout() == data::Layout::int32;
    auto store = [&](int64_t value) {
        if (days) column.values<int32_t>()[row] = static_cast<int32_t>(value);
        else column.values<int64_t>()[row] = value;
        return true;
    };
    int64_t most = days ? std::numeric_limits<int32_t>::max() : std::numeric_limits<int64_t>::max();
    if (context.options.holds.infinite_dates) return store(positive ? most : -most);
    int64_t unit = days ? 1 : micros_per_day;
    switch (context.options.policies.special_dates) {
        case config::SpecialDates::null: return column.set_null(row), true;
        case config::SpecialDates::clamp: return store(positive ? 2932897 * unit - 1 : -719162 * unit);
        case config::SpecialDates::reject: break;
    }
    return context.refuse("infinite_date",
                          positive ? "infinity has no place in the target" : "-infinity has no place in the target");
}

/// Units to microseconds; nothing where a nanosecond would be lost.
std::optional<Wide> to_micros(int64_t units, int64_t per_second) {
    if (per_second <= 1'000'000) return Wide{units} * (1'000'000 / per_second);
    int64_t finer = per_second / 1'000'000;
    if (units % finer != 0) return std::nullopt;
    return Wide{units} / finer;
}

bool finer(ValueContext& context) {
    return context.refuse("finer_than_micros", "the time has a fraction finer than microseconds");
}

}  // namespace

bool read_date(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    std::optional<int64_t> days;
    if (scalar.kind == Scalar::Kind::number) days = parse_integer(scalar.text);
    if (scalar.kind == Scalar::Kind::string) days = parse_date(scalar.text);
    if (scalar.text == "infinity" || scalar.text == "-infinity")
        return store_infinite(scalar.text[0] == 'i', column, row, context);
    if (!days) return context.malformed("a date", scalar.text);
    using Limits = std::numeric_limits<int32_t>;
    if (*days == Limits::max() || *days == Limits::min()) return store_infinite(*days > 0, column, row, context);
    if (*days > Limits::max() || *days < Limits::min())
        return context.refuse("out_of_range", fmt::format("{} days since 1970 do not fit a date", *days));
    column.values<int32_t>()[row] = static_cast<int32_t>(*days);
    return true;
}

bool read_time(const Scalar& scalar, int64_t per_second, data::Column& column, size_t row, ValueContext& context) {
    std::optional<int64_t> value;
    if (scalar.kind == Scalar::Kind::string) {
        value = parse_time(scalar.text);
    } else if (auto units = scalar.kind == Scalar::Kind::number ? parse_integer(scalar.text) : std::nullopt) {
        auto micros = to_micros(*units, per_second);
        if (!micros) return finer(context);
        if (*micros >= 0 && *micros <= micros_per_day) value = static_cast<int64_t>(*micros);
    }
    if (!value) return context.malformed("a time of day", scalar.text);
    if (*value == micros_per_day && !context.options.holds.end_of_day) {
        if (context.options.policies.special_dates == config::SpecialDates::null) return column.set_null(row), true;
        if (context.options.policies.special_dates != config::SpecialDates::clamp)
            return context.refuse("end_of_day", "24:00:00 has no place in the target");
        value = micros_per_day - 1;
    }
    column.values<int64_t>()[row] = *value;
    return true;
}

bool read_timestamp(const Scalar& scalar, int64_t per_second, data::Column& column, size_t row, ValueContext& context) {
    Wide micros = 0;
    using Limits = std::numeric_limits<int64_t>;
    if (scalar.kind == Scalar::Kind::string) {
        if (scalar.text == "infinity" || scalar.text == "-infinity")
            return store_infinite(scalar.text[0] == 'i', column, row, context);
        auto instant = parse_timestamp(scalar.text);
        if (!instant) return context.malformed("a timestamp", scalar.text);
        if (instant->year == late_year || instant->year == early_year || instant->year == early_year - 1)
            return store_infinite(instant->year > 0, column, row, context);
        micros = instant->micros;
    } else {
        auto units = scalar.kind == Scalar::Kind::number ? parse_integer(scalar.text) : std::nullopt;
        if (!units) return context.malformed("a timestamp", scalar.text);
        bool late = *units == Limits::max() || (per_second == 1000 && *units == late_millis);
        bool early = *units == Limits::min() || (per_second == 1000 && *units == early_millis);
        if (late || early) return store_infinite(late, column, row, context);
        auto read = to_micros(*units, per_second);
        if (!read) return finer(context);
        micros = *read;
    }
    if (micros >= Limits::max() || micros <= -Limits::max())
        return context.refuse("out_of_range", "a time after 294247-01-10 does not fit microseconds since 1970");
    column.values<int64_t>()[row] = static_cast<int64_t>(micros);
    return true;
}

bool read_zoned_time(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    auto packed = scalar.kind == Scalar::Kind::string ? parse_zoned_time(scalar.text) : std::nullopt;
    if (!packed) return context.malformed("a time with an offset", scalar.text);
    if (column.type().kind == data::Kind::timetz) {
        column.values<int64_t>()[row] = *packed;
        return true;
    }
    std::string text = data::timetz_text(*packed);
    char* memory = context.block.allocate(text.size());
    std::memcpy(memory, text.data(), text.size());
    column.values<data::StringRef>()[row] = data::StringRef(memory, text.size());
    return true;
}

bool read_interval(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context) {
    auto interval = scalar.kind == Scalar::Kind::string ? parse_interval(scalar.text) : std::nullopt;
    if (!interval) return context.malformed("an ISO 8601 interval", scalar.text);
    column.values<data::Interval>()[row] = *interval;
    return true;
}

}  // namespace penstock::debezium
