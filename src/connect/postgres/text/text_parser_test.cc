#include "connect/postgres/text/text_parser.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "connect/postgres/text_form.h"

namespace penstock::postgres {
namespace {

/// The wire form in hexadecimal digits, or what was expected.
std::string wire(ParseText parse, std::string_view text) {
    std::string out;
    Malformed malformed;
    if (!parse(text, out, malformed)) return malformed.expected;
    std::string hex;
    for (char c : out) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return hex;
}

bool malformed(ParseText parse, std::string_view text) {
    std::string out;
    Malformed malformed;
    return !parse(text, out, malformed) && *malformed.expected != 0;
}

std::string int64_hex(int64_t value) { return fmt::format("{:016x}", static_cast<uint64_t>(value)); }
std::string int32_hex(int64_t value) { return fmt::format("{:08x}", static_cast<uint32_t>(value)); }

TEST_CASE("plain values") {
    CHECK(wire(parse_bool, "t") == "01");
    CHECK(wire(parse_bool, "false") == "00");
    CHECK(wire(parse_int2, "-32768") == "8000");
    CHECK(wire(parse_int4, "2147483647") == "7fffffff");
    CHECK(wire(parse_int8, "-9223372036854775808") == "8000000000000000");
    CHECK(wire(parse_uint4, "4294967295") == "ffffffff");
    CHECK(wire(parse_uint8, "18446744073709551615") == "ffffffffffffffff");
    CHECK(wire(parse_float4, "1e-45") == "00000001");
    CHECK(wire(parse_float8, "-0") == "8000000000000000");
    CHECK(wire(parse_float8, "5e-324") == "0000000000000001");
    CHECK(wire(parse_float8, "1.7976931348623157e+308") == "7fefffffffffffff");
    CHECK(wire(parse_float8, "NaN") == "7ff8000000000000");
    CHECK(wire(parse_float4, "-Infinity") == "ff800000");
    CHECK(wire(parse_uuid, "00112233-4455-6677-8899-aAbBcCdDeEfF") == "00112233445566778899aabbccddeeff");
    CHECK(wire(parse_jsonb, "{}") == "017b7d");
    CHECK(wire(parse_bytea, "\\x00fF") == "00ff");
    CHECK(wire(parse_bytea, "\\x") == "");
    CHECK(wire(parse_bytea, R"(a\\b\000\377)") == "615c6200ff");
    CHECK(wire(parse_bytea, "") == "");
    CHECK(wire(parse_hex, "0101000000") == "0101000000");
}

TEST_CASE("malformed plain values") {
    CHECK(wire(parse_bool, "yes") == "t or f");
    for (const char* text : {"", "32768", "1 ", " 1", "+1", "1.0", "0x1", "-"})
        CHECK(wire(parse_int2, text) == "an integer of 16 bits");
    CHECK(wire(parse_uint4, "-1") == "an unsigned integer of 32 bits");
    for (const char* text : {"", "nan", "inf", "nan(1)", "1e", "--1", "1e999", "+1", "0x1p3"})
        CHECK(wire(parse_float8, text).starts_with("a floating-point number"));
    for (const char* text : {"", "00112233-4455-6677-8899-aabbccddeef", "00112233445566778899aabbccddeeff----",
                             "00112233-4455-6677-8899-aabbccddeefg"})
        CHECK(wire(parse_uuid, text) == "32 hexadecimal digits in groups of 8-4-4-4-12");
    for (const char* text : {"\\x0", "\\xzz", "\\x0x", "\\400", "\\08", "a\\"}) CHECK(malformed(parse_bytea, text));
}

TEST_CASE("numerics") {
    CHECK(wire(parse_numeric, "0") == "0000000000000000");
    CHECK(wire(parse_numeric, "0.000") == "0000000000000003");
    CHECK(wire(parse_numeric, "-0.0") == "0000000000000001");
    CHECK(wire(parse_numeric, "1") == "00010000000000000001");
    CHECK(wire(parse_numeric, "-12345.678") == "0003000140000003000109291a7c");
    CHECK(wire(parse_numeric, "10000") == "00010001000000000001");
    CHECK(wire(parse_numeric, "0.0001") == "0001ffff000000040001");
    CHECK(wire(parse_numeric, "0.00000001") == "0001fffe000000080001");
    CHECK(wire(parse_numeric, "100000000.10") == "000400020000000200010000000003e8");
    CHECK(wire(parse_numeric, "NaN") == "00000000c0000000");
    CHECK(wire(parse_numeric, "Infinity") == "00000000d0000020");
    CHECK(wire(parse_numeric, "-Infinity") == "00000000f0000020");
    CHECK(wire(parse_numeric, std::string(131072, '9')).size() == 16 + 131072);
    for (const char* text : {"", "-", ".", "1.", ".5", "+1", "1e5", "1,5", "1.2.3", "nan", "--1", "infinity"})
        CHECK(wire(parse_numeric, text) == "decimal digits, NaN or Infinity");
    CHECK(wire(parse_numeric, std::string(131073, '9')).starts_with("at most"));
    CHECK(wire(parse_numeric, "0." + std::string(16384, '1')).starts_with("at most"));
}

TEST_CASE("dates and times") {
    CHECK(wire(parse_date, "2000-01-01") == int32_hex(0));
    CHECK(wire(parse_date, "1999-12-31") == int32_hex(-1));
    CHECK(wire(parse_date, "2000-02-29") == int32_hex(59));
    CHECK(wire(parse_date, "4714-11-24 BC") == int32_hex(-2451545));
    CHECK(wire(parse_date, "5874897-12-31") == int32_hex(2145031948));
    CHECK(wire(parse_date, "0001-02-29 BC") == int32_hex(-730426));
    CHECK(wire(parse_date, "infinity") == "7fffffff");
    CHECK(wire(parse_date, "-infinity") == "80000000");
    CHECK(wire(parse_timestamp, "2000-01-01 00:00:00") == int64_hex(0));
    CHECK(wire(parse_timestamp, "1999-12-31 23:59:59.999999") == int64_hex(-1));
    CHECK(wire(parse_timestamp, "4714-11-24 00:00:00 BC") == int64_hex(-211813488000000000));
    CHECK(wire(parse_timestamp, "294276-12-31 23:59:59.999999") == int64_hex(9223371331199999999));
    CHECK(wire(parse_timestamp, "infinity") == "7fffffffffffffff");
    CHECK(wire(parse_timestamptz, "2000-01-01 00:00:00.5+00") == int64_hex(500000));
    CHECK(wire(parse_timestamptz, "2000-01-01 05:45:00+05:45") == int64_hex(0));
    CHECK(wire(parse_timestamptz, "1999-12-31 23:06:32-00:53:28") == int64_hex(0));
    CHECK(malformed(parse_timestamptz, "294277-01-01 05:00:00-00"));
    CHECK(wire(parse_timestamptz, "294277-01-01 05:44:59.999999+05:45") == int64_hex(9223371331199999999));
    CHECK(wire(parse_timestamptz, "4714-11-23 18:00:00-06 BC") == int64_hex(-211813488000000000));
    CHECK(wire(parse_timestamptz, "-infinity") == "8000000000000000");
    CHECK(wire(parse_time, "24:00:00") == int64_hex(86'400'000'000));
    CHECK(wire(parse_time, "00:00:00.00001") == int64_hex(10));
    CHECK(wire(parse_timetz, "12:00:00-15:59:59") == int64_hex(43'200'000'000) + int32_hex(57599));
    CHECK(wire(parse_timetz, "00:00:00+05:30") == int64_hex(0) + int32_hex(-19800));
}

TEST_CASE("malformed dates and times") {
    for (const char* text :
         {"", "2000-1-01", "2000-13-01", "2000-02-30", "1900-02-29", "0000-01-01", "2000-01-01 AD", "01/02/2000",
          "5874898-01-01", "4714-11-23 BC", "99999999999-01-01", "2000-01-01x", "Infinity", "2000-01-01 00:00:00"})
        CHECK_MESSAGE(malformed(parse_date, text), text);
    for (const char* text :
         {"2000-01-01", "2000-01-01T00:00:00", "2000-01-01 00:00", "2000-01-01 24:00:01", "2000-01-01 00:60:00",
          "2000-01-01 00:00:60", "2000-01-01 00:00:00.", "2000-01-01 00:00:00.0000001", "2000-01-01 00:00:00+00",
          "294277-01-01 00:00:00", "4714-11-23 23:59:59 BC"})
        CHECK_MESSAGE(malformed(parse_timestamp, text), text);
    for (const char* text : {"2000-01-01 00:00:00", "2000-01-01 00:00:00Z", "2000-01-01 00:00:00+1",
                             "2000-01-01 00:00:00+16", "2000-01-01 00:00:00+00:60", "2000-01-01 BC 00:00:00+00"})
        CHECK_MESSAGE(malformed(parse_timestamptz, text), text);
    CHECK(malformed(parse_time, "24:00:00.000001"));
    CHECK(malformed(parse_timetz, "00:00:00"));
}

TEST_CASE("dates agree with their text, day by day and by leaps") {
    constexpr int64_t first = -211813488000000000, end = 9223371331200000000, leap = 8'999'999'999'999'989;
    for (int64_t micros = first; micros < end - leap; micros += leap)
        REQUIRE(wire(parse_timestamptz, timestamp_text(micros, true)) == int64_hex(micros));
    for (int32_t days = -1'000'000; days < 1'000'000; days += 61)
        REQUIRE(wire(parse_date, date_text(days)) == int32_hex(days));
}

std::string interval(int64_t months, int64_t days, int64_t micros) {
    return int64_hex(micros) + int32_hex(days) + int32_hex(months);
}

TEST_CASE("intervals in every style") {
    for (const char* text : {"00:00:00", "@ 0", "0", "PT0S"}) CHECK(wire(parse_interval, text) == interval(0, 0, 0));
    for (const char* text : {"1 year 2 mons 3 days 04:05:06.7", "@ 1 year 2 mons 3 days 4 hours 5 mins 6.7 secs",
                             "+1-2 +3 +4:05:06.7", "P1Y2M3DT4H5M6.7S"})
        CHECK(wire(parse_interval, text) == interval(14, 3, 14706700000));
    for (const char* text :
         {"-1 years -2 mons +3 days -04:05:06.000007", "@ 1 year 2 mons -3 days 4 hours 5 mins 6.000007 secs ago",
          "-1-2 +3 -4:05:06.000007", "P-1Y-2M3DT-4H-5M-6.000007S"})
        CHECK(wire(parse_interval, text) == interval(-14, 3, -14706000007));
    CHECK(wire(parse_interval, "-3 4:05:06") == interval(0, -3, -14706000000));
    CHECK(wire(parse_interval, "-1-2") == interval(-14, 0, 0));
    CHECK(wire(parse_interval, "-00:00:00.000001") == interval(0, 0, -1));
    CHECK(wire(parse_interval, "PT-0.000001S") == interval(0, 0, -1));
    CHECK(wire(parse_interval, "@ 0.000001 secs ago") == interval(0, 0, -1));
    CHECK(wire(parse_interval, "-2562047788:00:54.775808") == interval(0, 0, std::numeric_limits<int64_t>::min()));
    CHECK(wire(parse_interval, "-178956970 years -8 mons") == interval(std::numeric_limits<int32_t>::min(), 0, 0));
    CHECK(wire(parse_interval, "-2147483648 days") == interval(0, std::numeric_limits<int32_t>::min(), 0));
    CHECK(wire(parse_interval, "infinity") == "7fffffffffffffff7fffffff7fffffff");
    CHECK(wire(parse_interval, "-infinity") == "80000000000000008000000080000000");
    for (const char* text : {"",
                             "1",
                             "P",
                             "PT",
                             "P1",
                             "P1H",
                             "PT1D",
                             "1 day ",
                             "1 day 2",
                             "1 fortnight",
                             "1.5 days",
                             "04:05",
                             "04:60:00",
                             "1-12",
                             "1-2 3",
                             "@",
                             "@ 1 day ago ago",
                             "2147483648 days",
                             "178956970 years 8 mons",
                             "2562047788:00:54.775808",
                             "99999999999999 days",
                             "1 day  04:05:06",
                             "Day",
                             "day",
                             "1.5 4:05:06"})
        CHECK_MESSAGE(malformed(parse_interval, text), text);
}

}  // namespace
}  // namespace penstock::postgres
