#include "connect/postgres/capture/segment_pace.h"

#include <doctest/doctest.h>

namespace penstock::postgres {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a target is given changes at the pace it takes them") {
    SegmentPace pace;
    auto start = SegmentPace::Clock::now();
    auto at = [&](int ms) { return start + milliseconds(ms); };
    CHECK_FALSE(pace.due(at(0), at(4)));  // a transaction's neighbours come along
    CHECK(pace.due(at(0), at(5)));
    pace.given(at(5));
    pace.taken(at(25));
    CHECK_FALSE(pace.due(at(10), at(84)));
    CHECK(pace.due(at(10), at(85)));
    CHECK(pace.due(at(300), at(305)));  // nothing came for a while: at once
    pace.given(at(400));
    pace.taken(at(4400));  // a full run: what waits then is not left for three times as long
    CHECK_FALSE(pace.due(at(4000), at(4899)));
    CHECK(pace.due(at(4000), at(4900)));
    pace.taken(at(9000));  // nothing had been given
    CHECK(pace.due(at(9000), at(9005)));
}

TEST_CASE("a target whose commits have a price is left alone in between") {
    SegmentPace pace(false, std::chrono::seconds(30));
    auto start = SegmentPace::Clock::now();
    auto at = [&](int ms) { return start + milliseconds(ms); };
    CHECK(pace.due(at(0), at(5)));  // the first at once
    pace.given(at(5));
    pace.taken(at(2005));
    CHECK_FALSE(pace.due(at(100), at(32004)));
    CHECK(pace.due(at(100), at(32005)));
}

TEST_CASE("a log is given what came during the commit before") {
    SegmentPace pace(true);
    auto start = SegmentPace::Clock::now();
    auto at = [&](int ms) { return start + milliseconds(ms); };
    pace.given(at(5));
    pace.taken(at(105));
    CHECK_FALSE(pace.due(at(106), at(106)));
    CHECK(pace.due(at(50), at(106)));
}

}  // namespace
}  // namespace penstock::postgres
