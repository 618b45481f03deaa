#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/calendar.h"
#include "transform/debezium/decode_number.h"
#include "transform/debezium/decode_time.h"
#include "transform/events/value_reader.h"

namespace penstock::events {
namespace {

constexpr int64_t largest_exact_double = int64_t{1} << 53;

/// What BigQuery's DATE, DATETIME and TIMESTAMP hold, and every other target of ours as well.
constexpr int64_t first_day = -719162, last_day = 2932896;

Fault not_a(std::string_view what) { return {"bad_time", fmt::format("it is no {}", what)}; }
Fault beyond() { return {"time_out_of_range", "it is not within the years 1 to 9999"}; }

}  // namespace

/// 5, 5.0 and 5e0 are the same number.
Fault store_integer(std::string_view token, data::Column& column, size_t row) {
    int64_t value = 0;
    auto [end, failed] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (failed == std::errc() && end == token.data() + token.size()) {
        column.values<int64_t>()[row] = value;
        return {};
    }
    auto digits = debezium::Digits::parse(token);
    if (!digits) return {"number_out_of_range", "the number is out of all bounds"};
    if (digits->needed_scale() > 0) return {"not_an_integer", "it is no integer"};
    auto wide = digits->scaled(38, 0);
    if (!wide || *wide > INT64_MAX || *wide < INT64_MIN)
        return {"number_out_of_range", "an INT64 holds -9223372036854775808 to 9223372036854775807"};
    column.values<int64_t>()[row] = static_cast<int64_t>(*wide);
    return {};
}

/// A decimal fraction takes the nearest double, as everywhere; an integer must be one.
Fault store_floating(std::string_view token, data::Column& column, size_t row) {
    double value = 0;
    auto [end, failed] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (failed != std::errc() || !std::isfinite(value)) {
        if (failed == std::errc::result_out_of_range && std::fabs(value) < 1)
            return {"number_out_of_range", "a double cannot hold so small a number"};
        return {"number_out_of_range", "a double cannot hold so large a number"};
    }
    bool whole = token.find_first_of(".eE") == token.npos;
    if (whole && std::fabs(value) >= static_cast<double>(largest_exact_double)) {
        auto digits = debezium::Digits::parse(token);
        auto exact = digits ? digits->scaled(38, 0) : std::nullopt;
        if (!exact || static_cast<data::Int128>(value) != *exact || static_cast<double>(*exact) != value)
            return {"integer_not_exact", "a double does not hold this integer exactly"};
    }
    column.values<double>()[row] = value;
    return {};
}

bool store_no_number(std::string_view text, data::Column& column, size_t row) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (text != "NaN" && text != "Infinity" && text != "-Infinity") return false;
    column.values<double>()[row] = text == "NaN" ? std::nan("") : text == "Infinity" ? infinity : -infinity;
    return true;
}

Fault store_decimal(std::string_view token, data::Column& column, size_t row) {
    const auto& type = column.type();
    auto digits = debezium::Digits::parse(token);
    auto value = digits ? digits->scaled(type.precision, type.scale) : std::nullopt;
    if (!value) {
        if (!digits) return {"number_out_of_range", "the number is out of all bounds"};
        return {"numeric_overflow",
                fmt::format("it needs decimal({},{}), which does not fit {}", digits->needed_precision(),
                            digits->needed_scale(), data::to_string(type))};
    }
    debezium::store_decimal(*value, column, row);
    return {};
}

Fault store_date(std::string_view text, data::Column& column, size_t row) {
    auto days = debezium::parse_date(text);
    if (!days || text.ends_with('Z')) return not_a("date such as 2026-11-21");
    if (*days < first_day || *days > last_day) return beyond();
    column.values<int32_t>()[row] = static_cast<int32_t>(*days);
    return {};
}

Fault store_time(std::string_view text, data::Column& column, size_t row) {
    auto micros = debezium::parse_time(text);
    if (!micros || text.ends_with('Z') || *micros >= micros_per_day)
        return not_a("time such as 13:14:15.678, of at most six digits behind the point");
    column.values<int64_t>()[row] = *micros;
    return {};
}

/// Without an offset it is UTC, and a DATETIME has none.
Fault store_timestamp(std::string_view text, data::Column& column, size_t row) {
    auto instant = debezium::parse_timestamp(text);
    if (!instant && text.size() == 10) {
        if (auto days = debezium::parse_date(text))
            instant = debezium::Instant{.year = 0, .micros = data::Int128{*days} * micros_per_day};
    }
    if (!instant) return not_a("timestamp such as 2026-11-21T13:14:15.678Z, of at most six digits behind the point");
    if (column.type().kind == data::Kind::timestamp) {
        size_t time = text.find_first_of("T ");
        if (time != text.npos && text.find_first_of("Z+-", time) != text.npos)
            return {"bad_time", "a DATETIME has no offset"};
    }
    if (instant->micros < data::Int128{first_day} * micros_per_day ||
        instant->micros >= data::Int128{last_day + 1} * micros_per_day)
        return beyond();
    column.values<int64_t>()[row] = static_cast<int64_t>(instant->micros);
    return {};
}

Fault store_uuid(std::string_view text, data::Column& column, size_t row) {
    __extension__ using Wide = unsigned __int128;
    Wide value = 0;
    bool good = text.size() == 36;
    for (size_t i = 0; good && i < text.size(); ++i) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int digit = hex_digit(text[i]);
        good = dash ? text[i] == '-' : digit >= 0;
        if (good && !dash) value = value << 4 | static_cast<unsigned>(digit);
    }
    if (!good) return {"bad_uuid", "it is no UUID such as 123e4567-e89b-12d3-a456-426614174000"};
    value ^= Wide{1} << 127;
    std::memcpy(column.values<data::Int128>() + row, &value, sizeof value);
    return {};
}

}  // namespace penstock::events
