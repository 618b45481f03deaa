#include "connect/bigquery/read_text.h"

#include <doctest/doctest.h>

#include <limits>

namespace penstock::bigquery {

TEST_CASE("moments at both ends of BigQuery's years come back as they were written") {
    CHECK(parse_date("0001-01-01") == -719162);
    CHECK(parse_date("9999-12-31") == 2932896);
    CHECK(date_text(-719162) == "0001-01-01");
    CHECK(parse_datetime("0001-01-01T00:00:00") == -62135596800000000);
    CHECK(datetime_text(-62135596800000000) == "0001-01-01 00:00:00");
    CHECK(parse_datetime("9999-12-31 23:59:59.999999") == 253402300799999999);
    CHECK(datetime_text(253402300799999999) == "9999-12-31 23:59:59.999999");
    CHECK(datetime_text(-1) == "1969-12-31 23:59:59.999999");
    CHECK(parse_timestamp("1970-01-01 05:30:00.5+05:30") == 500000);
    CHECK(parse_timestamp("1970-01-01 00:00:00-01") == 3600000000);
    CHECK(parse_timestamp("1970-01-01") == 0);
    CHECK(parse_time("23:59:59.999999") == 86399999999);
}

TEST_CASE("what is no moment is none") {
    for (const char* text : {"", "2024-02-30", "2024-13-01", "yesterday", "2024-01-01x", "24-01-01"})
        CHECK_FALSE(parse_date(text));
    for (const char* text : {"2024-01-01 24:00:00", "2024-01-01 10", "2024-01-01T10:00:00+x"})
        CHECK_FALSE(parse_timestamp(text));
    CHECK_FALSE(parse_time("12"));
}

TEST_CASE("each part of an interval has its own sign") {
    auto parts = parse_interval("-1-2 3 -4:5:6.789");
    REQUIRE(parts);
    CHECK(parts->months == -14);
    CHECK(parts->days == 3);
    CHECK(parts->micros == -14706789000);
    CHECK(interval_text(-14, 3, -14706789000) == "-1-2 3 -4:5:6.789");
    CHECK(interval_text(0, 0, 0) == "0-0 0 0:0:0");
    CHECK(parse_interval("10000-0 3660000 87840000:0:0")->micros == 316224000000000000);
    CHECK_FALSE(parse_interval("1 day"));
}

TEST_CASE("decimals keep every digit, or are refused") {
    CHECK(decimal_text("-1", 38) == "-0.00000000000000000000000000000000000001");
    CHECK(decimal_text("1500", 3) == "1.5");
    CHECK(decimal_text("0", 9) == "0");
    CHECK(decimal_text("42", 0) == "42");
    CHECK(unscaled_text("1.50", 1) == "15");
    CHECK(unscaled_text("-0.000", 9) == "-0");
    CHECK_FALSE(unscaled_text("1.55", 1));
    CHECK_FALSE(unscaled_text("1e5", 9));
    CHECK_FALSE(unscaled_text("", 9));
}

}  // namespace penstock::bigquery
