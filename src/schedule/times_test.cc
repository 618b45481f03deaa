#include "schedule/times.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>

namespace penstock::schedule {
namespace {

using namespace std::chrono;

Times times(const std::string& schedule, const std::string& zone) {
    auto read = Times::read(schedule, zone);
    REQUIRE_MESSAGE(read, read.error().text());
    return *read;
}

/// The first few after a moment, in UTC.
std::string after(const std::string& schedule, const std::string& zone, TimePoint at, int many) {
    auto all = times(schedule, zone);
    std::string text;
    for (auto due = all.next(at); due && many-- > 0; due = all.next(*due)) text += iso_time(*due).substr(5, 11) + " ";
    return text;
}

TimePoint utc(int month_, int day_, int hour, int minute = 0) {
    return TimePoint(sys_days(year(2026) / month(static_cast<unsigned>(month_)) / day(static_cast<unsigned>(day_))) +
                     hours(hour) + minutes(minute));
}

}  // namespace

TEST_CASE("a time that clocks skip is due at the skip, once") {
    // Vienna: on 29 March 2026 clocks go from 02:00 to 03:00, which is 01:00 UTC.
    CHECK(after("30 2 * * *", "Europe/Vienna", utc(3, 28, 0), 3) == "03-28T01:30 03-29T01:00 03-30T00:30 ");
    CHECK(after("15,45 2 * * *", "Europe/Vienna", utc(3, 28, 12), 3) == "03-29T01:00 03-30T00:15 03-30T00:45 ");
    CHECK(after("0 3 * * *", "Europe/Vienna", utc(3, 28, 12), 2) == "03-29T01:00 03-30T01:00 ");
    CHECK(after("30 2,3 * * *", "Europe/Vienna", utc(3, 28, 12), 2) == "03-29T01:00 03-29T01:30 ");
    CHECK(after("*/30 2 * * *", "Europe/Vienna", utc(3, 28, 12), 2) == "03-30T00:00 03-30T00:30 ");
    CHECK(after("30 * * * *", "Europe/Vienna", utc(3, 29, 0), 3) == "03-29T00:30 03-29T01:30 03-29T02:30 ");
}

TEST_CASE("a time that clocks show twice is due the first time") {
    // Vienna: on 25 October 2026 clocks go from 03:00 back to 02:00, which is 01:00 UTC.
    CHECK(after("30 2 * * *", "Europe/Vienna", utc(10, 24, 12), 2) == "10-25T00:30 10-26T01:30 ");
    CHECK(after("30 * * * *", "Europe/Vienna", utc(10, 24, 23, 45), 3) == "10-25T00:30 10-25T01:30 10-25T02:30 ");
    CHECK(after("*/30 2 * * *", "Europe/Vienna", utc(10, 24, 23, 45), 4) ==
          "10-25T00:00 10-25T00:30 10-25T01:00 10-25T01:30 ");
    // Asked in the second pass, the first one is over.
    CHECK(after("30 2 * * *", "Europe/Vienna", utc(10, 25, 1, 10), 1) == "10-26T01:30 ");
}

TEST_CASE("steps of time do not mind clocks") {
    CHECK(after("@every 90m", "", utc(3, 29, 0), 3) == "03-29T01:30 03-29T03:00 03-29T04:30 ");
    CHECK(after("@daily", "America/New_York", utc(3, 7, 12), 3) == "03-08T05:00 03-09T04:00 03-10T04:00 ");
    CHECK(after("0 0 29 2 *", "", utc(1, 1, 0), 1) == "02-29T00:00 ");
}

TEST_CASE("times rise, and the one before the next is the last") {
    std::mt19937 random(7);
    auto number = [&](int first, int last) { return std::uniform_int_distribution(first, last)(random); };
    for (int round = 0; round < 300; ++round) {
        auto field = [&](int first, int last) {
            switch (number(0, 3)) {
                case 0: return std::string("*");
                case 1: return fmt::format("*/{}", number(1, last));
                case 2: return fmt::format("{}", number(first, last));
                default: {
                    int from = number(first, last);
                    return fmt::format("{}-{}", from, number(from, last));
                }
            }
        };
        std::string text =
            fmt::format("{} {} {} {} {}", field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6));
        const char* zones[] = {"Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
                               "Africa/Cairo"};
        auto all = times(text, zones[number(0, 4)]);
        TimePoint at = utc(number(1, 12), number(1, 28), number(0, 23), number(0, 59));
        for (int step = 0; step < 5; ++step) {
            auto next = all.next(at);
            REQUIRE_MESSAGE(next, text);
            CHECK_MESSAGE(*next > at, text);
            CHECK_MESSAGE(all.previous(*next + microseconds(1)) == next, text);
            at = *next;
        }
    }
}

TEST_CASE("moments are read in the zone") {
    Zone vienna = *Zone::find("Europe/Vienna");
    CHECK(iso_time(*read_moment("2026-07-01", vienna)) == "2026-06-30T22:00:00.000000Z");
    CHECK(iso_time(*read_moment("2026-07-01T06:30", vienna)) == "2026-07-01T04:30:00.000000Z");
    CHECK(iso_time(*read_moment("2026-07-01T06:30:15Z", vienna)) == "2026-07-01T06:30:15.000000Z");
    for (const char* bad :
         {"", "2026", "2026-13-01", "2026-02-30", "2026-07-01T", "2026-07-01T25:00", "2026-07-01x", "-1-1-1"})
        CHECK_MESSAGE(!read_moment(bad, vienna), std::string(bad));
    CHECK(Zone::find("Europe/Viena").error().message.find("Europe/Vienna") != std::string::npos);
}

}  // namespace penstock::schedule
