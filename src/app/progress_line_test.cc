#include "app/progress_line.h"

#include <doctest/doctest.h>

#include "app/text_table.h"

using namespace penstock::app;

namespace {

const ProgressFigures half = {.table = "public.orders",
                              .rows = 2'600'000,
                              .estimated_rows = 5'000'000,
                              .bytes = 312 << 20,
                              .rows_per_second = 800'000};

}  // namespace

TEST_CASE("a line tells rows, bytes, rate and the time left") {
    CHECK(progress_line(half, 15, 120) ==
          "public.orders    ━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌  52%  2,600,000 rows  312 MiB  800 k/s  3.0 s left");
}

TEST_CASE("without an estimate there is no bar and no promise") {
    auto figures = half;
    figures.estimated_rows = -1;
    CHECK(progress_line(figures, 13, 120) == "public.orders  2,600,000 rows  312 MiB  800 k/s");
}

TEST_CASE("rejects are shown as soon as there are any") {
    auto figures = half;
    figures.rejected = 3;
    CHECK(progress_line(figures, 13, 120).find("3 rejected") != std::string::npos);
}

TEST_CASE("a load that goes on is never complete, however wrong the estimate") {
    auto figures = half;
    figures.rows = 6'000'000;
    auto line = progress_line(figures, 13, 120);
    CHECK(line.find("99%") != std::string::npos);
    CHECK(line.find("left") == std::string::npos);
}

TEST_CASE("a narrow terminal gets the name and the rows") {
    CHECK(progress_line(half, 13, 40) == "public.orders  52%  2,600,000 rows");
    for (size_t width = 1; width < 120; ++width) CHECK(display_width(progress_line(half, 13, width)) <= width);
}

TEST_CASE("rates are humane") {
    CHECK(humane_rate(0) == "0/s");
    CHECK(humane_rate(17.4) == "17/s");
    CHECK(humane_rate(8'400) == "8.4 k/s");
    CHECK(humane_rate(841'000) == "841 k/s");
    CHECK(humane_rate(999'700) == "1.0 M/s");
}

TEST_CASE("the pace follows a change within seconds, not at once") {
    Pace pace;
    pace.update(1, 1000);
    CHECK(pace.per_second() == doctest::Approx(1000));
    pace.update(2, 1000);
    CHECK(pace.per_second() > 500);
    for (int second = 3; second < 20; ++second) pace.update(second, 1000);
    CHECK(pace.per_second() < 10);
    pace.update(5, 99999);  // the clock never goes back
    CHECK(pace.per_second() < 10);
}
