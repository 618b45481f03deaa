#include "engine/canonical.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "engine/database.h"
#include "engine/types.h"

namespace penstock::engine {
namespace {

using data::Kind;
using data::Type;

struct Written {
    Type type;
    std::string value, text;  ///< the separator shown as ';'
};

std::vector<Written> written() {
    auto real = data::scalar(Kind::float64), text = data::scalar(Kind::text), moment = data::scalar(Kind::timestamptz);
    auto pair = data::structure_of({{.name = "it's", .type = text}, {.name = "n", .type = data::scalar(Kind::int32)}});
    return {
        {data::scalar(Kind::boolean), "true", "true"},
        {data::scalar(Kind::int64), "-9223372036854775808", "-9223372036854775808"},
        {real, "0.1", "1.0000000000000001e-01"},
        {real, "'-0.0'", "0.0000000000000000e+00"},
        {real, "1e300", "1.0000000000000001e+300"},
        {real, "'nan'", "NaN"},
        {real, "'-inf'", "-Infinity"},
        {data::scalar(Kind::float32), "0.1", "1.0000000149011612e-01"},
        {data::decimal(12, 2), "1.50", "1.5"},
        {data::decimal(12, 2), "-100.00", "-100"},
        {data::decimal(12, 0), "1000", "1000"},
        {data::decimal(4, 4), "0.5000", "0.5"},
        {data::decimal(4, 4), "-0.0300", "-0.03"},
        {data::decimal(4, 4), "0", "0"},
        {data::decimal(38, 38), "0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"},
        {text, "' a '", " a "},
        {data::scalar(Kind::bytes), "'\\x0A\\xFF'::BLOB", "0aff"},
        {data::scalar(Kind::date), "'0044-03-15 (BC)'", "0044-03-15 BC"},
        {data::scalar(Kind::date), "'infinity'", "infinity"},
        {data::scalar(Kind::timestamp), "'2026-11-21 12:00:00.000001'", "2026-11-21 12:00:00.000001"},
        {moment, "'2026-11-21 14:00:00.5+02'", "2026-11-21 12:00:00.5+00"},
        {moment, "'0001-12-31 (BC) 23:59:59.999999+00'", "0001-12-31 23:59:59.999999+00 BC"},
        {moment, "make_timestamptz(9223372036854775806)", "294247-01-10 04:00:54.775806+00"},
        {moment, "'-infinity'", "-infinity"},
        {data::scalar(Kind::interval), "'-1 month 2 days -0.5 seconds'", "-1,2,-500000"},
        {data::list_of(text), "['a;b', NULL, '']", "[3:a;b;n;0:;]"},
        {data::list_of(data::list_of(real)), "[[1.0], NULL, []]", "[[1.0000000000000000e+00;];n;[];]"},
        {data::list_of(real), "[]", "[]"},
        {pair, "{'it''s': 'x', 'n': NULL}", "(1:x;n;)"},
        {data::map_of(text, text), "MAP {'b': NULL, 'a': 'n'}", "{1:a;1:n;1:b;n;}"},
    };
}

TEST_CASE("each type has one text for each value, and NULL has none") {
    auto database = *Database::in_memory({});
    auto connection = *database.connect();
    auto text_of = [&](const Type& type, const std::string& value) {
        auto rows = connection.query(fmt::format("SELECT replace({}, chr(31), ';') FROM (SELECT CAST({} AS {}) AS c)",
                                                 canonical_text(type, "c"), value, sql_type(type)));
        if (!rows) FAIL(rows.error().text());
        return rows->rows.at(0).at(0);
    };
    for (const auto& [type, value, text] : written()) {
        CAPTURE(fmt::format("{} as {}", value, data::to_string(type)));
        CHECK(text_of(type, value).value_or("NULL") == text);
        CHECK_FALSE(text_of(type, "NULL"));
    }
}

}  // namespace
}  // namespace penstock::engine
