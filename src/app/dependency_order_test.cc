#include "app/dependency_order.h"

#include <doctest/doctest.h>

using namespace penstock;
using namespace penstock::app;

using Names = std::vector<std::string>;

TEST_CASE("without dependencies the order of the file stays") {
    auto order = dependency_order({{"c", {}}, {"a", {}}, {"b", {}}});
    REQUIRE(order.has_value());
    CHECK(*order == Names{"c", "a", "b"});
}

TEST_CASE("what comes after stands behind, through any number of steps") {
    auto order = dependency_order({{"report", {"orders", "customers"}}, {"orders", {"customers"}}, {"customers", {}}});
    REQUIRE(order.has_value());
    CHECK(*order == Names{"customers", "orders", "report"});
}

TEST_CASE("a pipeline outside the run holds up nobody") {
    auto order = dependency_order({{"orders", {"customers"}}});
    REQUIRE(order.has_value());
    CHECK(*order == Names{"orders"});
}

TEST_CASE("a cycle is spelled out") {
    auto order = dependency_order({{"x", {"a"}}, {"a", {"b"}}, {"b", {"c"}}, {"c", {"a"}}});
    REQUIRE(!order.has_value());
    CHECK(order.error().kind == ErrorKind::configuration);
    CHECK(order.error().message == "pipelines wait for one another: a after b after c after a");
    auto self = dependency_order({{"a", {"a"}}});
    REQUIRE(!self.has_value());
    CHECK(self.error().message.ends_with("a after a"));
}
