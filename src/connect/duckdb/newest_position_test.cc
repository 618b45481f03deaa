#include "connect/duckdb/newest_position.h"

#include "connect/duckdb/test_changes.h"

namespace penstock::duckdb::test {
namespace {

flow::TableTarget prices() {
    flow::TableTarget target{.name = "shop.prices", .mode = flow::Mode::merge, .key = {"id"}};
    target.info = {.name = "public.prices",
                   .schema = {{field("id", data::Kind::int32, 1), field("price", data::Kind::text, 2)}},
                   .key = {"id"},
                   .key_is_unique = true,
                   .changes = true};
    return target;
}

TEST_CASE("an older part changes nothing, whatever came between and whoever applied the newer ones") {
    Warehouse warehouse;
    Log log;
    auto row = log.r({"1", "1"});
    auto first = log.u({"1", "2"}), second = log.u({"1", "3"}), other = log.c({"2", "9"}), third = log.u({"1", "4"});
    const char* mirror = "SELECT id, price FROM shop.prices ORDER BY id";
    {
        Stream stream(warehouse, prices());
        REQUIRE_MESSAGE(stream.snapshot({row}), stream.error);
        CHECK(applied(stream.apply({first})) == "written 1 deleted 0 filtered 0 rejected 0");
        CHECK(applied(stream.apply({second, other})) == "written 2 deleted 0 filtered 0 rejected 0");
        CHECK(applied(stream.apply({first})) == "written 0 deleted 0 filtered 1 rejected 0");
        CHECK(warehouse.line(mirror) == "1,3 2,9");
        CHECK(applied(stream.apply({third})) == "written 1 deleted 0 filtered 0 rejected 0");
        CHECK(applied(stream.apply({second, other})) == "written 0 deleted 0 filtered 2 rejected 0");
        CHECK(warehouse.line(mirror) == "1,4 2,9");
    }
    Stream anew(warehouse, prices());
    CHECK(applied(anew.apply({first, other})) == "written 0 deleted 0 filtered 2 rejected 0");
    CHECK(applied(anew.apply({second})) == "written 0 deleted 0 filtered 1 rejected 0");
    CHECK(warehouse.line(mirror) == "1,4 2,9");
}

TEST_CASE("an older part changes nothing in a history either") {
    Warehouse warehouse;
    Log log;
    auto row = log.r({"1", "1"});
    auto first = log.u({"1", "2"}), second = log.d({"1"}), other = log.c({"2", "9"}), third = log.c({"1", "4"});
    const char* history =
        "SELECT id, price, _penstock_valid_to IS NULL, _penstock_deleted FROM shop.prices ORDER BY 1, 2";
    auto target = prices();
    target.mode = flow::Mode::history;
    {
        Stream stream(warehouse, target);
        REQUIRE_MESSAGE(stream.snapshot({row}), stream.error);
        CHECK(applied(stream.apply({first})) == "written 1 deleted 0 filtered 0 rejected 0");
        CHECK(applied(stream.apply({second, other})) == "written 2 deleted 1 filtered 0 rejected 0");
        CHECK(applied(stream.apply({first})) == "written 0 deleted 0 filtered 1 rejected 0");
        CHECK(applied(stream.apply({second, other, third})) == "written 1 deleted 0 filtered 2 rejected 0");
    }
    Stream anew(warehouse, target);
    CHECK(applied(anew.apply({first, other})) == "written 0 deleted 0 filtered 2 rejected 0");
    CHECK(applied(anew.apply({second, third})) == "written 0 deleted 0 filtered 2 rejected 0");
    CHECK(warehouse.line(history) == "1,1,false,false 1,2,false,true 1,4,true,false 2,9,true,false");
}

}  // namespace
}  // namespace penstock::duckdb::test
