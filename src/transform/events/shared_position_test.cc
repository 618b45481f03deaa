#include "transform/events/shared_position.h"

#include <doctest/doctest.h>

using namespace penstock;
using events::SharedPosition;

namespace {

Result<SharedPosition> read(std::string position) {
    return SharedPosition::of(flow::Checkpoint{.position = std::move(position)});
}

}  // namespace

TEST_CASE("a shared position comes back as it was written") {
    SharedPosition held{.seats = {{1, {2, 7}}, {12, {1, 0}}}, .stream = R"({"orders":[3,4]})"};
    auto back = read(held.to_json());
    REQUIRE(back);
    CHECK(back->seats == held.seats);
    CHECK(back->stream == held.stream);
    auto empty = read(SharedPosition{}.to_json());
    REQUIRE(empty);
    CHECK(empty->seats.empty());
    CHECK_FALSE(empty->stream);
}

TEST_CASE("a position that nobody shared is the stream's own") {
    for (const char* position : {"{\"orders\":[3,4]}", "17", "no json at all"}) {
        auto back = read(position);
        REQUIRE(back);
        CHECK(back->stream == position);
        CHECK(back->seats.empty());
    }
}

TEST_CASE("seats that cannot be read are refused, not guessed") {
    for (const char* position :
         {R"({"seats":7})", R"({"seats":{"one":[1,2]}})", R"({"seats":{"1":[1]}})", R"({"seats":{"1":["a",2]}})",
          R"({"seats":{"1":{"taken":1}}})", R"({"seats":{"99999999999999999999":[1,2]}})"}) {
        CAPTURE(position);
        auto back = read(position);
        REQUIRE_FALSE(back);
        CHECK(back.error().code == "damaged_position");
    }
}
