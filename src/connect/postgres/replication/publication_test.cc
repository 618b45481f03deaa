#include "connect/postgres/replication/publication.h"

#include <doctest/doctest.h>

namespace penstock::postgres {
namespace {

TEST_CASE("a publication's creation quotes names and keeps conditions") {
    PublicationRequest request{
        .name = "my \"pub\"",
        .tables = {{.table = {"public", "customers"}},
                   {.table = {"Sales", "order lines"}, .columns = {"id", "a\"b"}, .row_filter = "NOT is_test"}}};
    CHECK(
        create_publication_command(request, 150000) ==
        R"(CREATE PUBLICATION "my ""pub""" FOR TABLE "public"."customers", "Sales"."order lines" ("id", "a""b") WHERE (NOT is_test) )"
        "WITH (publish_via_partition_root = true)");
    request.tables.pop_back();
    request.via_partition_root = false;
    CHECK(create_publication_command(request, 120000) ==
          R"(CREATE PUBLICATION "my ""pub""" FOR TABLE "public"."customers")");
    CHECK(create_publication_command({.name = "p"}, 120000) == R"(CREATE PUBLICATION "p" FOR ALL TABLES)");
}

TEST_CASE("what a server cannot publish is refused, not left out") {
    for (auto partial : {PublishedTable{.table = {"s", "t"}, .columns = {"a"}},
                         PublishedTable{.table = {"s", "t"}, .row_filter = "a > 1"}}) {
        auto command = create_publication_command({.name = "p", .tables = {partial}}, 140009);
        REQUIRE(!command);
        CHECK(command.error().code == "publication_unsupported");
        CHECK(create_publication_command({.name = "p", .tables = {partial}}, 150000));
    }
}

}  // namespace
}  // namespace penstock::postgres
