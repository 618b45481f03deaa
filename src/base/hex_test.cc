#include "base/hex.h"

#include <doctest/doctest.h>

using namespace penstock;

TEST_CASE("bytes come back from hexadecimal digits of either case") {
    std::string bytes(
        "\0\x7f\xff"
        "a",
        4);
    CHECK(to_hex(bytes) == "007fff61");
    CHECK(from_hex("007fff61") == bytes);
    CHECK(from_hex("007FFF61") == bytes);
    CHECK(from_hex("") == "");
    CHECK_FALSE(from_hex("0"));
    CHECK_FALSE(from_hex("0g"));
    CHECK_FALSE(from_hex("0x"));
}
