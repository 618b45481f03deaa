#include "engine/constant.h"

#include <doctest/doctest.h>

#include "engine/database.h"

namespace penstock::engine {
namespace {

using data::Kind;

std::string sql(data::Type type, std::optional<std::string> initial, std::string source_type = "") {
    return older_rows_sql({.name = "c",
                           .type = std::move(type),
                           .source_type = std::move(source_type),
                           .initial = std::move(initial)})
        .value_or("read");
}

/// What DuckDB makes of it.
std::string value(const std::string& expression) {
    auto database = Database::in_memory({});
    REQUIRE(database);
    auto connection = database->connect();
    REQUIRE(connection);
    auto rows = connection->query("SELECT CAST(" + expression + " AS VARCHAR)");
    REQUIRE(rows);
    return rows->text(0, 0);
}

TEST_CASE("a constant is taken where DuckDB reads it as what the source holds") {
    CHECK(value(sql(data::scalar(Kind::int16), "-7")) == "-7");
    CHECK(value(sql(data::scalar(Kind::boolean), "t")) == "true");
    CHECK(value(sql(data::scalar(Kind::float64), "1e-07")) == "1e-07");
    CHECK(value(sql(data::decimal(6, 3), "123.5")) == "123.500");
    CHECK(value(sql(data::decimal(4, 3), "-0.125")) == "-0.125");
    CHECK(value(sql(data::scalar(Kind::text), "it's", "character varying(9)")) == "it's");
    CHECK(value(sql(data::scalar(Kind::bytes), "\\xdead00", "bytea")) == "\\xDE\\xAD\\x00");
    CHECK(value(sql(data::scalar(Kind::bytes), "\\x", "bytea")).empty());
    CHECK(value(sql(data::scalar(Kind::date), "2020-02-29")) == "2020-02-29");
    CHECK(value(sql(data::scalar(Kind::timestamptz), "2020-02-29 12:00:00.25+00")).starts_with("2020-02-29"));
    CHECK(value(sql(data::scalar(Kind::time), "23:59:59.999999")) == "23:59:59.999999");
    CHECK(sql(data::scalar(Kind::int32), std::nullopt) == "CAST(NULL AS INTEGER)");
}

TEST_CASE("where it would not, the rows must be read") {
    CHECK(sql(data::decimal(6, 3), "1.2345") == "read");
    CHECK(sql(data::decimal(6, 3), "1000") == "read");
    CHECK(sql(data::decimal(6, 3), "NaN") == "read");
    CHECK(sql(data::scalar(Kind::float64), "NaN") == "read");
    CHECK(sql(data::scalar(Kind::text), "10.0.0.1", "inet") == "read");
    CHECK(sql(data::scalar(Kind::text), "x", "text[]") == "read");
    CHECK(sql(data::scalar(Kind::bytes), "\\xdead", "geometry") == "read");
    CHECK(sql(data::scalar(Kind::date), "0044-03-15 BC") == "read");
    CHECK(sql(data::scalar(Kind::date), "infinity") == "read");
    CHECK(sql(data::scalar(Kind::time), "24:00:00") == "read");
    CHECK(sql(data::scalar(Kind::timestamptz), "1800-01-01 00:00:00+00:53:28") == "read");
    CHECK(sql(data::list_of(data::scalar(Kind::int32)), "{1,2}") == "read");
    CHECK_FALSE(older_rows_sql({.name = "c", .type = data::scalar(Kind::int32), .initial_unknown = true}));
}

}  // namespace
}  // namespace penstock::engine
