#include "connect/http_api/cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/calendar.h"
#include "base/clock.h"
#include "base/humane.h"
#include "transform/events/value_reader.h"

namespace penstock::http_api {
namespace {

using data::Int128;
using data::Kind;

std::string digits_of(Int128 value) {
    if (value == 0) return "0";
    std::string out;
    for (Int128 rest = value; rest != 0; rest /= 10)
        out += static_cast<char>('0' + static_cast<int>(rest < 0 ? -(rest % 10) : rest % 10));
    if (value < 0) out += '-';
    std::ranges::reverse(out);
    return out;
}

std::string decimal_text(Int128 value, int scale) {
    auto digits = digits_of(value < 0 ? -value : value);
    if (scale > 0) {
        auto wanted = static_cast<size_t>(scale) + 1;
        if (digits.size() < wanted) digits.insert(0, wanted - digits.size(), '0');
        digits.insert(digits.size() - static_cast<size_t>(scale), ".");
    }
    return (value < 0 ? "-" : "") + digits;
}

int64_t floor_by(int64_t value, int64_t unit) { return value / unit - (value % unit < 0 ? 1 : 0); }

std::string date_text(int64_t days) {
    std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
    return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()));
}

/// Without the fraction where it is none.
std::string time_text(int64_t micros) {
    auto text = iso_time(TimePoint(std::chrono::microseconds(micros)));
    if (micros % micros_per_second == 0) text.erase(text.find('.'), 7);
    return text;
}

bool is_time(Kind kind) { return kind == Kind::timestamp || kind == Kind::timestamptz; }

std::optional<Int128> value_in(const data::Column& column, size_t row) {
    if (!column.valid(row)) return std::nullopt;
    switch (column.layout()) {
        case data::Layout::int16: return column.values<int16_t>()[row];
        case data::Layout::int32: return column.values<int32_t>()[row];
        case data::Layout::int64: return column.values<int64_t>()[row];
        case data::Layout::int128: return column.values<Int128>()[row];
        default: return std::nullopt;
    }
}

Result<Int128> lag_of(const data::Type& type, const config::Text& lag, const Cursor& cursor) {
    if (lag.empty()) return Int128{0};
    if (is_time(type.kind) || type.kind == Kind::date) {
        auto parsed = parse_duration(lag.value);
        if (!parsed) return fail(std::move(parsed.error()).at(lag.place.text()));
        auto micros = parsed->count();
        return Int128{type.kind == Kind::date ? (micros + micros_per_day - 1) / micros_per_day : micros};
    }
    auto number = cursor.raw(lag.value);
    if (number && *number >= 0) return *number;
    return fail({.kind = ErrorKind::configuration,
                 .code = "cursor_lag",
                 .message = fmt::format("cursor_lag '{}' is not a number, as the cursor is", lag.value),
                 .where = lag.place.text(),
                 .hint = "write how many values to ask for again, such as 1000"});
}

}  // namespace

Result<Cursor> Cursor::make(const SourceOptions& options, const events::EventTable& table) {
    Cursor out;
    if (options.cursor.empty()) return out;
    auto refuse = [&](const char* code, std::string message, std::string hint) {
        return fail({.kind = ErrorKind::configuration,
                     .code = code,
                     .message = std::move(message),
                     .where = options.cursor.place.text(),
                     .hint = std::move(hint)});
    };
    const auto& name = options.cursor.value;
    int at = table.fields.find(name);
    if (at < 0) {
        std::vector<std::string> names;
        for (const auto& field : table.fields.children) names.push_back(field.name);
        auto nearest = nearest_name(name, names);
        return refuse(
            "cursor_not_in_schema",
            fmt::format("{} has no column {}, which is to be the cursor", options.schema.value.string(), name),
            nearest.empty() ? "name one of its columns" : fmt::format("did you mean {}?", nearest));
    }
    out.type_ = table.fields.children[static_cast<size_t>(at)].type;
    out.format_ = options.cursor_format;
    bool serves = out.type_.kind == Kind::int64 || out.type_.kind == Kind::decimal || out.type_.kind == Kind::date ||
                  is_time(out.type_.kind);
    if (!serves)
        return refuse("cursor_type",
                      fmt::format("column {} is {}, which cannot be a cursor", name, data::to_string(out.type_)),
                      "choose an INT64, NUMERIC, DATE, DATETIME or TIMESTAMP that grows with each insert and update");
    bool timed = is_time(out.type_.kind) || out.type_.kind == Kind::date;
    if (!timed && out.format_ != CursorFormat::iso)
        return refuse("cursor_format",
                      fmt::format("cursor_format is for times, and {} is {}", name, data::to_string(out.type_)),
                      "leave it out: numbers are written as they are");
    PN_TRY(out.lag_, lag_of(out.type_, options.cursor_lag, out));
    out.column_ = at;
    return out;
}

std::optional<Int128> Cursor::at(const data::Block& block, size_t row) const {
    return value_in(block.columns[static_cast<size_t>(column_)], row);
}

std::string Cursor::text(Int128 raw) const {
    switch (type_.kind) {
        case Kind::date: return date_text(static_cast<int64_t>(raw));
        case Kind::timestamptz: return time_text(static_cast<int64_t>(raw));
        case Kind::timestamp: {
            auto text = time_text(static_cast<int64_t>(raw));
            text.pop_back();  // the Z
            return text;
        }
        case Kind::decimal: return decimal_text(raw, type_.scale);
        default: return digits_of(raw);
    }
}

/// As a record's own value would be read.
std::optional<Int128> Cursor::raw(const std::string& text) const {
    data::Column column(type_, 1);
    events::Fault fault;
    bool number = type_.kind == Kind::int64 || type_.kind == Kind::decimal;
    if (number && !events::is_number(text)) return std::nullopt;
    switch (type_.kind) {
        case Kind::int64: fault = events::store_integer(text, column, 0); break;
        case Kind::decimal: fault = events::store_decimal(text, column, 0); break;
        case Kind::date: fault = events::store_date(text, column, 0); break;
        default: fault = events::store_timestamp(text, column, 0);
    }
    return fault ? std::nullopt : value_in(column, 0);
}

std::string Cursor::time_parameter(int64_t micros) const {
    switch (format_) {
        case CursorFormat::date: return date_text(floor_by(micros, micros_per_day));
        case CursorFormat::seconds: return std::to_string(floor_by(micros, micros_per_second));
        case CursorFormat::milliseconds: return std::to_string(floor_by(micros, 1000));
        case CursorFormat::iso: break;
    }
    return text(micros);
}

std::string Cursor::parameter(Int128 raw) const {
    if (type_.kind == Kind::date && format_ != CursorFormat::iso)
        return time_parameter(static_cast<int64_t>(raw) * micros_per_day);
    return is_time(type_.kind) ? time_parameter(static_cast<int64_t>(raw)) : text(raw);
}

std::string Position::to_json() const {
    nlohmann::ordered_json json = {{"cursor", cursor}, {"of", of}};
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<Position> Position::from_json(const std::string& text) {
    auto json = nlohmann::json::parse(text, nullptr, false);
    auto good = [&](const char* name) { return json.is_object() && json.contains(name) && json[name].is_string(); };
    if (good("cursor") && good("of"))
        return Position{.cursor = json["cursor"].get<std::string>(), .of = json["of"].get<std::string>()};
    return fail({.kind = ErrorKind::data,
                 .code = "bad_position",
                 .message = "the checkpoint's position cannot be read",
                 .hint = "run with --full-refresh to start over"});
}

}  // namespace penstock::http_api
