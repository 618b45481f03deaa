#include "connect/postgres/text_form.h"

#include <doctest/doctest.h>

#include <limits>

#include "connect/postgres/utf8.h"

namespace penstock::postgres {
namespace {

TEST_CASE("dates and times read as PostgreSQL writes them") {
    CHECK(date_text(0) == "2000-01-01");
    CHECK(date_text(-730119) == "0001-01-01");
    CHECK(date_text(-730120) == "0001-12-31 BC");
    CHECK(date_text(2145031948) == "5874897-12-31");
    CHECK(date_text(std::numeric_limits<int32_t>::max()) == "infinity");
    CHECK(timestamp_text(1, false) == "2000-01-01 00:00:00.000001");
    CHECK(timestamp_text(-1, true) == "1999-12-31 23:59:59.999999+00");
    CHECK(timestamp_text(-63082281600000000, false) == "0001-01-01 00:00:00");
    // What no server sends, but bytes can say.
    CHECK(timestamp_text(std::numeric_limits<int64_t>::min() + 1, false) == "290279-12-22 19:59:05.224193 BC");
    CHECK(time_text(86'400'000'000) == "24:00:00");
    CHECK(time_text(3'661'500'000) == "01:01:01.5");
    CHECK(offset_text(19800) == "+05:30");
    CHECK(offset_text(-57599) == "-15:59:59");
}

TEST_CASE("UTF-8 is judged by RFC 3629") {
    CHECK(first_invalid_utf8("plain ascii and some more") == 25);
    CHECK(first_invalid_utf8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") == 9);
    CHECK(first_invalid_utf8("12345678\xff") == 8);
    CHECK(first_invalid_utf8("\xc0\x80") == 0);          // overlong
    CHECK(first_invalid_utf8("\xed\xa0\x80") == 0);      // surrogate
    CHECK(first_invalid_utf8("\xf4\x90\x80\x80") == 0);  // above U+10FFFF
    CHECK(first_invalid_utf8("ab\xe2\x82") == 2);        // cut short
}

TEST_CASE("JSON strings escape what JSON must not hold") {
    std::string json;
    append_json_string("a\"b\\c\n\xff\xc3\xa9", json);
    CHECK(json == "\"a\\\"b\\\\c\\u000a\\\\xff\xc3\xa9\"");
    json.clear();
    append_json_bytes(std::string_view("\x00\xff", 2), json);
    CHECK(json == R"("\\x00ff")");
}

}  // namespace
}  // namespace penstock::postgres
