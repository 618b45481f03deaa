#include "connect/postgres/capture/change_position.h"

#include <doctest/doctest.h>

namespace penstock::postgres {
namespace {

using Piece = TableShape::Piece;

TableShape parts(std::map<uint32_t, Piece> pieces) {
    return {.columns = {{"id", {1, 23, -1}}}, .pieces = std::move(pieces)};
}

std::string code(const TableShape& before, const TableShape& now) {
    auto trouble = unstreamed("public.t", before, now, ColumnsBy::name);
    return trouble ? trouble->code : "";
}

}  // namespace

TEST_CASE("positions come back as they went") {
    ChangePosition table{
        .streamed = 7, .from = 3, .system = "71", .timeline = 2, .born = 1, .oid = 16, .tables = {16, 17}};
    auto old = ChangePosition::from_json(table.to_json());
    REQUIRE(old);
    CHECK(!old->shape);
    table.shape =
        TableShape{.columns = {{"a \"b\"", {1, 1700, 655366}}}, .pieces = {{16, {"", "16999"}}}, .published = "1 2"};
    auto back = ChangePosition::from_json(table.to_json());
    REQUIRE((back && back->shape));
    CHECK(back->from == table.from);
    CHECK(back->shape->columns == table.shape->columns);
    CHECK(back->shape->pieces[16].file == "16999");
    CHECK(back->shape->published == "1 2");
    StreamPosition stream{.streamed = 9, .system = "71", .timeline = 2, .born = 1};
    stream.tables["public.t"] = 16;
    stream.aside["public.\"x\""] = {"schema_change_refused", "why"};
    auto again = StreamPosition::from_json(stream.to_json());
    REQUIRE(again);
    CHECK(again->tables == stream.tables);
    CHECK(again->aside["public.\"x\""].message == "why");
    CHECK(again->troubles().size() == 1);
    CHECK(StreamPosition::from_json("{}").error().code == "other_checkpoint");
    CHECK(ChangePosition::from_json("").error().code == "other_checkpoint");
}

TEST_CASE("what changes in rows without being streamed") {
    auto before = parts({{16, {"", "1"}}});
    auto now = before;
    now.pieces[16].file = "2";
    CHECK(code(before, now).empty());  // VACUUM FULL
    now.columns["id"].type = 20;
    CHECK(code(before, now) == "type_changed");
    before.columns["name"] = {2, 1043, 14};
    now = before;
    now.columns["name"] = {2, 25, -1};
    CHECK(code(before, now).empty());
    now.pieces[16].file = "2";
    CHECK(code(before, now) == "type_changed");  // USING
    now = before;
    now.columns["name"].number = 3;
    CHECK(code(before, now) == "columns_renamed");
    now = before;
    now.columns["more"] = {3, 23, -1};
    CHECK(code(before, now).empty());
    before.published = "1 2";
    now.published = "1 3";
    CHECK(code(before, now) == "publication_changed");
}

TEST_CASE("rows that come and go with partitions") {
    auto before = parts({{16, {"", "0"}}, {17, {"500", "1"}}, {18, {"500", "2"}}});
    auto now = before;
    CHECK(code(before, now).empty());
    now.pieces[19] = {"600", "3", true};
    CHECK(code(before, now).empty());
    now.pieces[19].born = false;
    CHECK(code(before, now) == "partitions_changed");
    now = before;
    now.pieces.erase(18);
    CHECK(code(before, now) == "partitions_changed");
    now = before;
    now.pieces[18].joined = "700";
    CHECK(code(before, now) == "partitions_changed");
    now = before;
    now.pieces[18].file = "9";
    CHECK(code(before, now) == "partitions_changed");
}

}  // namespace penstock::postgres
