#include "connect/http_api/cursor.h"

#include <doctest/doctest.h>

namespace penstock::http_api {
namespace {

Cursor cursor_of(data::Type type, CursorFormat format = CursorFormat::iso, const std::string& lag = "") {
    events::EventTable table;
    table.fields.children.push_back({.name = "c", .type = std::move(type)});
    SourceOptions options;
    options.cursor.value = "c";
    options.cursor_lag.value = lag;
    options.cursor_format = format;
    auto made = Cursor::make(options, table);
    REQUIRE(made);
    return *made;
}

}  // namespace

TEST_CASE("cursor values as text and back") {
    auto time = cursor_of(data::scalar(data::Kind::timestamptz));
    for (const char* text : {"2026-11-21T13:14:15Z", "2026-11-21T13:14:15.678901Z", "1969-12-31T23:59:59.500000Z"})
        CHECK(time.text(*time.raw(text)) == text);
    CHECK(time.text(*time.raw("2026-11-21 14:14:15+01:00")) == "2026-11-21T13:14:15Z");
    CHECK(!time.raw("yesterday"));
    auto local = cursor_of(data::scalar(data::Kind::timestamp));
    CHECK(local.text(*local.raw("2026-11-21T13:14:15")) == "2026-11-21T13:14:15");
    auto date = cursor_of(data::scalar(data::Kind::date));
    CHECK(date.text(*date.raw("0987-02-03")) == "0987-02-03");
    auto number = cursor_of(data::scalar(data::Kind::int64));
    CHECK(number.text(*number.raw("-9223372036854775808")) == "-9223372036854775808");
    CHECK(!number.raw("1x"));
    auto decimal = cursor_of(data::decimal(20, 3));
    CHECK(decimal.text(*decimal.raw("-0.05")) == "-0.050");
    CHECK(decimal.text(*decimal.raw("12345678901234567.125")) == "12345678901234567.125");
}

TEST_CASE("what the API is asked for") {
    using enum CursorFormat;
    auto kind = data::scalar(data::Kind::timestamptz);
    auto asked = [&](CursorFormat format, const char* value, const std::string& lag = "") {
        auto cursor = cursor_of(kind, format, lag);
        return cursor.parameter(cursor.from(*cursor.raw(value)));
    };
    CHECK(asked(iso, "2026-11-21T13:14:15.5Z") == "2026-11-21T13:14:15.500000Z");
    CHECK(asked(iso, "2026-11-21T13:14:15Z", "15s") == "2026-11-21T13:14:00Z");
    CHECK(asked(seconds, "1970-01-01T00:01:00.9Z") == "60");
    CHECK(asked(seconds, "1969-12-31T23:59:59.9Z") == "-1");
    CHECK(asked(milliseconds, "1970-01-01T00:00:01.2345Z") == "1234");
    CHECK(asked(date, "1969-12-31T23:59:59Z") == "1969-12-31");
}

}  // namespace penstock::http_api
