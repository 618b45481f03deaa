#include "connect/postgres/replication/lsn.h"

#include <doctest/doctest.h>

namespace penstock::postgres {
namespace {

TEST_CASE("positions are read and written as PostgreSQL does") {
    CHECK(Lsn::parse("16/B374D848") == Lsn(0x16'B374D848));
    CHECK(Lsn(0x16'B374D848).text() == "16/B374D848");
    CHECK(Lsn::parse("0/0") == Lsn(0));
    CHECK(Lsn(0).text() == "0/0");
    CHECK(Lsn::parse("FFFFFFFF/ffffffff") == Lsn(UINT64_MAX));
    CHECK(Lsn(UINT64_MAX).text() == "FFFFFFFF/FFFFFFFF");
    CHECK(Lsn::parse("0/00000A") == Lsn(10));
    for (auto wrong :
         {"", "/", "1/", "/1", "1", "1/2/3", "1/ 2", "-1/2", "+1/2", "0x1/2", "1/G", "123456789/0", "0/123456789"})
        CHECK_MESSAGE(!Lsn::parse(wrong), wrong);
}

TEST_CASE("positions compare as numbers, not as text") {
    CHECK(*Lsn::parse("9/0") < *Lsn::parse("10/0"));
    CHECK(*Lsn::parse("1/FFFFFFFF") < *Lsn::parse("2/0"));
    CHECK(Lsn() == Lsn(0));
}

}  // namespace
}  // namespace penstock::postgres
