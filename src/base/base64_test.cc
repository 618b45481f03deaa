#include "base/base64.h"

#include <doctest/doctest.h>

using namespace penstock;

TEST_CASE("bytes come back from base64, with either alphabet, padded or not") {
    for (const std::string& bytes : {std::string(), std::string("\0\xff", 2), std::string("abc"), std::string("abcd"),
                                     std::string("\xfb\xff\xfe")}) {
        CHECK(from_base64(to_base64(bytes)) == bytes);
        CHECK(from_base64(to_base64_url(bytes)) == bytes);
    }
    CHECK(to_base64("\xfb\xff\xfe!") == "+//+IQ==");
    CHECK(to_base64_url("\xfb\xff\xfe!") == "-__-IQ");
    CHECK_FALSE(from_base64("a"));
    CHECK_FALSE(from_base64("a*=="));
}
