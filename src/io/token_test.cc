#include "io/token.h"

#include <doctest/doctest.h>

using namespace penstock;

TEST_CASE("basic credentials never reach a text for people") {
    auto header = "Authorization: Basic " + io::basic_credentials("loader", Secret("correct horse"));
    CHECK(header == "Authorization: Basic bG9hZGVyOmNvcnJlY3QgaG9yc2U=");
    CHECK(redact(header) == "Authorization: Basic ***");
}
