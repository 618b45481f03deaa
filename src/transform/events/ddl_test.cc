#include "transform/events/ddl.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

namespace penstock::events {
namespace {

TableDefinition parsed(std::string_view text) {
    auto out = parse_ddl(text, "t.sql");
    REQUIRE_MESSAGE(out.has_value(), out.error().text());
    return *out;
}

std::string refused(std::string_view text) {
    auto out = parse_ddl(text, "t.sql");
    REQUIRE_FALSE(out.has_value());
    return out.error().where + " " + out.error().code;
}

TEST_CASE("a statement as people write them") {
    auto table = parsed(R"(-- orders
CREATE OR REPLACE TABLE `my-project.data.orders` (
  id STRING NOT NULL OPTIONS(description="The 'id'"),
  items ARRAY<STRUCT<sku STRING OPTIONS (description='a \'b\''), price NUMERIC(12, 2)>> OPTIONS(description="List"),
  at TIMESTAMP, local DATETIME, # both
  `order` INT64
)
PARTITION BY TIMESTAMP_TRUNC(at, DAY)
CLUSTER BY id, `order`
OPTIONS(description="All of them");)");
    CHECK(table.name == "my-project.data.orders");
    CHECK(table.description == "All of them");
    CHECK(table.partition_by == "TIMESTAMP_TRUNC(at, DAY)");
    CHECK(table.cluster_by == std::vector<std::string>{"id", "order"});
    const auto& fields = table.schema.fields;
    REQUIRE(fields.size() == 5);
    CHECK_FALSE(fields[0].nullable);
    CHECK(fields[0].description == "The 'id'");
    CHECK(data::to_string(fields[1].type) == "list<struct<sku text, price decimal(12,2)>>");
    CHECK(fields[1].type.children[0].type.children[0].description == "a 'b'");
    CHECK(fields[1].description == "List");
    CHECK(fields[2].type.kind == data::Kind::timestamptz);
    CHECK(fields[3].type.kind == data::Kind::timestamp);
}

TEST_CASE("what is not understood is an error at its place") {
    CHECK(refused("SELECT 1") == "t.sql:1:1 ddl_syntax");
    CHECK(refused("CREATE TABLE t (\n  a GEOGRAPHY)") == "t.sql:2:5 ddl_type");
    CHECK(refused("CREATE TABLE t (a STRING(10))") == "t.sql:1:25 ddl_length");
    CHECK(refused("CREATE TABLE t (a ARRAY<ARRAY<INT64>>)") == "t.sql:1:25 ddl_array_of_arrays");
    CHECK(refused("CREATE TABLE t (a INT64, A STRING)") == "t.sql:1:34 ddl_column_twice");
    CHECK(refused("CREATE TABLE t (a BIGNUMERIC)") == "t.sql:1:29 ddl_decimal");
    CHECK(refused("CREATE TABLE t (a NUMERIC(40, 2))") == "t.sql:1:33 ddl_decimal");
    CHECK(refused("CREATE TABLE t (a INT64) OPTIONS(expiration_timestamp = NULL)") == "t.sql:1:55 ddl_option");
    CHECK(refused("CREATE TABLE t (a INT64, PRIMARY KEY (a) NOT ENFORCED)") == "t.sql:1:26 ddl_constraint");
    CHECK(refused("CREATE TABLE t (a INT64) AS SELECT 1") == "t.sql:1:26 ddl_syntax");
    CHECK(refused("CREATE TABLE t (a INT64") == "t.sql:1:24 ddl_syntax");
    CHECK(refused("CREATE TABLE t (a STRING OPTIONS(description='x") == "t.sql:1:46 ddl_unclosed");
}

TEST_CASE("the tables of the event pipeline") {
    for (const char* name : {"order_events", "inventory_events", "user_activity_events"}) {
        std::ifstream file(std::string("examples/ddl/") + name + ".sql");
        std::stringstream text;
        text << file.rdbuf();
        auto table = parsed(text.str());
        CHECK(table.name == std::string("re-case.backend_events_data.") + name);
        CHECK(table.partition_by.starts_with("DATE("));
        CHECK(table.cluster_by.size() == 2);
        CHECK(table.schema.find("ingestion_time") >= 0);
    }
}

}  // namespace
}  // namespace penstock::events
