#include "config/cron.h"

#include <doctest/doctest.h>

namespace penstock::config {

TEST_CASE("a schedule is due so often in a month") {
    double day = 1461.0 / 48;  // four years have so many days
    CHECK(runs_a_month("0 0 * * *") == doctest::Approx(day));
    CHECK(runs_a_month("@daily") == runs_a_month("30 4 * * *"));
    CHECK(runs_a_month("*/12 * * * *") == doctest::Approx(day * 24 * 5));
    CHECK(runs_a_month("0 8-18/2 * * mon-fri") == doctest::Approx(day * 6 * 5 / 7).epsilon(0.01));
    CHECK(runs_a_month("0 0 * * 7") == runs_a_month("0 0 * * SUN"));
    CHECK(runs_a_month("5 0 1 * *") == doctest::Approx(1));
    CHECK(runs_a_month("@yearly") == doctest::Approx(1.0 / 12));
    CHECK(runs_a_month("0 0 29 feb *") == doctest::Approx(1.0 / 48));
    CHECK(runs_a_month("0 0 1,15 * *") == doctest::Approx(2));
    // The first of the month, and Mondays too.
    CHECK(*runs_a_month("0 0 1 * 1") == doctest::Approx(1 + day / 7).epsilon(0.05));
    for (const char* meaningless : {"0 0 * *", "61 0 * * *", "0 0 * * mon#2", "5-1 * * * *", "*/0 * * * *", "",
                                    "0 0 30 feb *", "@every 30x", "@every 2d", "0 0 * * ?"})
        CHECK_MESSAGE(!runs_a_month(meaningless), meaningless);
}

}  // namespace penstock::config
