#include "connect/bigquery/read_increment.h"

#include <arrow/api.h>
#include <arrow/util/decimal.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/calendar.h"
#include "base/humane.h"
#include "connect/bigquery/read_text.h"
#include "connect/bigquery/sql.h"

namespace penstock::bigquery {
namespace {

using data::Int128;
using data::Kind;

std::string digits_of(Int128 value) {
    if (value == 0) return "0";
    bool negative = value < 0;
    std::string out;
    for (; value != 0; value /= 10)
        out += static_cast<char>('0' + static_cast<int>(negative ? -(value % 10) : value % 10));
    if (negative) out += '-';
    std::ranges::reverse(out);
    return out;
}

std::optional<Int128> integer_of(std::string_view text) {
    bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    if (text.empty() || text.size() > 38) return std::nullopt;
    Int128 value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    return negative ? -value : value;
}

template <class Value>
std::optional<Int128> widened(const std::optional<Value>& value) {
    return value ? std::optional<Int128>(*value) : std::nullopt;
}

}  // namespace

std::string Cursor::text(Int128 raw) const {
    switch (kind) {
        case CursorKind::date: return date_text(static_cast<int32_t>(raw));
        case CursorKind::datetime: return datetime_text(static_cast<int64_t>(raw));
        case CursorKind::timestamp: return datetime_text(static_cast<int64_t>(raw)) + "+00";
        case CursorKind::decimal: return decimal_text(digits_of(raw), scale);
        default: return digits_of(raw);
    }
}

std::optional<Int128> Cursor::raw(const std::string& text) const {
    switch (kind) {
        case CursorKind::date: return widened(parse_date(text));
        case CursorKind::datetime: return widened(parse_datetime(text));
        case CursorKind::timestamp: return widened(parse_timestamp(text));
        case CursorKind::decimal: {
            auto digits = unscaled_text(text, scale);
            return digits ? integer_of(*digits) : std::nullopt;
        }
        default: return integer_of(text);
    }
}

std::string Cursor::literal(Int128 raw) const {
    const char* type = "";
    switch (kind) {
        case CursorKind::date: type = "DATE "; break;
        case CursorKind::datetime: type = "DATETIME "; break;
        case CursorKind::timestamp: type = "TIMESTAMP "; break;
        case CursorKind::decimal: type = scale > 9 ? "BIGNUMERIC " : "NUMERIC "; break;
        default: return text(raw);
    }
    return type + quote_literal(text(raw));
}

Result<CursorKind> cursor_kind(const data::Field& field, const std::string& table, const config::Text& cursor) {
    switch (field.type.kind) {
        case Kind::int64: return CursorKind::whole;
        case Kind::decimal: return CursorKind::decimal;
        case Kind::date: return CursorKind::date;
        case Kind::timestamp: return CursorKind::datetime;
        case Kind::timestamptz: return CursorKind::timestamp;
        default: break;
    }
    return fail(
        {.kind = ErrorKind::configuration,
         .code = "cursor_type",
         .message =
             fmt::format("column {} of {} has type {}, which cannot be a cursor: its order is not that of insertion",
                         cursor.value, table, field.source_type),
         .where = cursor.place.text(),
         .hint = "choose an INT64, NUMERIC, DATE, DATETIME or TIMESTAMP that grows with each insert and update"});
}

Result<Int128> cursor_lag(const Cursor& cursor, const config::Text& lag) {
    if (lag.empty()) return Int128{0};
    bool is_time = cursor.kind != CursorKind::whole && cursor.kind != CursorKind::decimal;
    if (is_time) {
        auto parsed = parse_duration(lag.value);
        if (!parsed) return fail(std::move(parsed.error()).at(lag.place.text()));
        auto micros = parsed->count();
        return Int128{cursor.kind == CursorKind::date ? (micros + micros_per_day - 1) / micros_per_day : micros};
    }
    auto number = cursor.raw(lag.value);
    if (number && *number >= 0) return *number;
    return fail({.kind = ErrorKind::configuration,
                 .code = "cursor_lag",
                 .message = fmt::format("cursor_lag '{}' is not a number, as the cursor is", lag.value),
                 .where = lag.place.text(),
                 .hint = "write how many values to read again, such as 10000"});
}

std::optional<Int128> cursor_at(const arrow::Array& column, int64_t row) {
    if (column.IsNull(row)) return std::nullopt;
    switch (column.type_id()) {
        case arrow::Type::INT64: return static_cast<const arrow::Int64Array&>(column).Value(row);
        case arrow::Type::DATE32: return static_cast<const arrow::Date32Array&>(column).Value(row);
        case arrow::Type::TIMESTAMP: return static_cast<const arrow::TimestampArray&>(column).Value(row);
        case arrow::Type::DECIMAL128: {
            arrow::Decimal128 value(static_cast<const arrow::Decimal128Array&>(column).GetValue(row));
            return static_cast<Int128>(value.high_bits()) * (Int128{1} << 64) + static_cast<Int128>(value.low_bits());
        }
        default: return std::nullopt;
    }
}

std::string increment_condition(const Cursor& cursor, const std::string& last) {
    auto raw = last.empty() ? std::nullopt : cursor.raw(last);
    if (!raw) return "";
    std::string column = quote_identifier(cursor.name);
    Int128 bound = *raw - cursor.lag;
    // Before the year 1 there is nothing to be named.
    constexpr int64_t first_day = -719162;
    if (cursor.kind == CursorKind::date) bound = std::max<Int128>(bound, first_day);
    if (cursor.kind == CursorKind::datetime || cursor.kind == CursorKind::timestamp)
        bound = std::max<Int128>(bound, Int128{first_day} * micros_per_day);
    if (cursor.kind == CursorKind::whole) bound = std::max<Int128>(bound, std::numeric_limits<int64_t>::min());
    std::string from = fmt::format("{} >= {}", column, cursor.literal(bound));
    return cursor.nullable ? fmt::format("({} OR {} IS NULL)", from, column) : from;
}

}  // namespace penstock::bigquery
