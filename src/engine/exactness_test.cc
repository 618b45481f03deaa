#include "engine/exactness.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "engine/database.h"
#include "engine/types.h"

namespace penstock::engine {
namespace {

using data::Kind;
using data::Type;

struct Pair {
    Type type;
    std::string a, b;
    bool same;            ///< bit for bit, any NaN being NaN
    bool same_but_zeros;  ///< where a zero has no sign
};

std::vector<Pair> pairs() {
    auto real = data::scalar(Kind::float64), span = data::scalar(Kind::interval);
    auto nested = data::structure_of(
        {{.name = "it's", .type = data::list_of(real)}, {.name = "n", .type = data::scalar(Kind::int32)}});
    return {
        {real, "0.0", "'-0.0'", false, true},
        {real, "'-0.0'", "'-0.0'", true, true},
        {real, "'nan'", "'-nan'", true, true},
        {real, "1.5", "NULL", false, false},
        {real, "NULL", "NULL", true, true},
        {data::scalar(Kind::float32), "0.0", "'-0.0'", false, true},
        {span, "'1 month'", "'30 days'", false, false},
        {span, "'720 hours'", "'30 days'", false, false},
        {span, "'1 month'", "'1 month'", true, true},
        {span, "'-12 months'", "'-1 year'", true, true},
        {data::list_of(span), "['1 month', NULL]", "['30 days', NULL]", false, false},
        {data::list_of(data::list_of(real)), "[['-0.0', NULL], NULL]", "[[0.0, NULL], NULL]", false, true},
        {data::list_of(real), "[]", "NULL", false, false},
        {nested, "{'it''s': ['-0.0'], 'n': NULL}", "{'it''s': [0.0], 'n': NULL}", false, true},
        {nested, "{'it''s': NULL, 'n': 1}", "{'it''s': NULL, 'n': 1}", true, true},
        {data::map_of(data::scalar(Kind::text), span), "MAP {'k': '1 month'}", "MAP {'k': '30 days'}", false, false},
        {data::map_of(data::scalar(Kind::text), real), "MAP {'k': '-0.0'}", "MAP {'k': 0.0}", false, true}};
}

TEST_CASE("values are the same by their bits, wherever they stand") {
    auto database = *Database::in_memory({});
    auto connection = *database.connect();
    for (const auto& [type, a, b, same, same_but_zeros] : pairs()) {
        CAPTURE(fmt::format("{}: {} and {}", data::to_string(type), a, b));
        REQUIRE(
            connection.execute(fmt::format("CREATE OR REPLACE TABLE t AS SELECT CAST({} AS {}) AS c; CREATE OR REPLACE "
                                           "TABLE s AS SELECT CAST({} AS {}) AS c",
                                           a, sql_type(type), b, sql_type(type))));
        std::vector<ComparedColumn> columns = {{.name = "c", .type = type}};
        auto count = [&](const std::string& sql) {
            auto rows = connection.query(sql);
            if (!rows) FAIL(rows.error().text());
            return rows->number(0, 0);
        };
        CHECK(count("SELECT count(*) FROM t JOIN s ON " + same_values(columns, "t", "s")) == int{same});
        CHECK(count("SELECT count(*) FROM t JOIN s ON " + same_but_for_zero_sign(columns, "t", "s")) ==
              int{same_but_zeros});
        CHECK(count("SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM s WHERE " + same_values(columns, "t", "s") +
                    ")") == int{same});
        CHECK(count(fmt::format("SELECT count(*) FROM (SELECT DISTINCT ON ({}) c FROM (FROM t UNION ALL FROM s))",
                                value_list(columns))) == (same ? 1 : 2));
    }
}

TEST_CASE("a negative zero is found where it stands") {
    auto database = *Database::in_memory({});
    auto connection = *database.connect();
    auto list = data::list_of(data::scalar(Kind::float64));
    auto held = [&](const Type& type, const std::string& value) {
        auto rows = connection.query(fmt::format("SELECT {} FROM (SELECT CAST({} AS {}) AS c)",
                                                 holds_negative_zero(type, "c"), value, sql_type(type)));
        if (!rows) FAIL(rows.error().text());
        return rows->text(0, 0) == "true";
    };
    CHECK(held(list, "['1', '-0.0']"));
    CHECK_FALSE(held(list, "[1.0, NULL, 0.0]"));
    CHECK_FALSE(held(list, "NULL"));
    CHECK(held(data::scalar(Kind::float32), "'-0.0'"));
    CHECK_FALSE(held(data::scalar(Kind::float64), "-1"));
    CHECK_FALSE(has_signed_zero(data::list_of(data::scalar(Kind::interval))));
    CHECK(has_signed_zero(data::map_of(data::scalar(Kind::text), list)));
}

}  // namespace
}  // namespace penstock::engine
