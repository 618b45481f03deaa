#include "connect/bigquery/types.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "connect/bigquery/fingerprint.h"
#include "connect/bigquery/options.h"
#include "connect/bigquery/partitioning.h"
#include "connect/bigquery/sql.h"
#include "connect/bigquery/staged_values.h"
#include "engine/database.h"

namespace penstock::bigquery {
namespace {

using data::Kind;
using data::scalar;

std::string type_of(const data::Type& type, const config::TypePolicies& policies = {}) {
    auto column = column_of({.name = "x", .type = type}, policies);
    return column ? sql_type(*column) : column.error().code;
}

/// The staged value of an expression of the embedded engine, and the code of its first fault.
std::pair<std::string, std::string> staged_value(const data::Type& type, const std::string& value,
                                                 const config::TypePolicies& policies = {}) {
    auto database = engine::Database::in_memory({});
    REQUIRE(database);
    auto connection = database->connect();
    auto column = column_of({.name = "x", .type = type}, policies);
    REQUIRE(column);
    std::string code = "CASE";
    auto faults = faults_of(type, *column, "x", policies);
    for (const auto& fault : faults) code += fmt::format(" WHEN {} THEN '{}'", fault.condition, fault.code);
    code = faults.empty() ? "''" : code + " ELSE '' END";
    auto rows = connection->query(fmt::format("SELECT CAST({} AS VARCHAR), {} FROM (SELECT {} AS x)",
                                              stage_sql(type, *column, "x", policies), code, value));
    if (!rows) FAIL(rows.error().message);
    return {rows->rows[0][0].value_or("NULL"), rows->text(0, 1)};
}

}  // namespace

TEST_CASE("each kind has its type") {
    CHECK(type_of(scalar(Kind::int16)) == "INT64");
    CHECK(type_of(data::decimal(38, 9)) == "NUMERIC");
    CHECK(type_of(data::decimal(38, 10)) == "BIGNUMERIC");
    CHECK(type_of(data::decimal(30, 0)) == "BIGNUMERIC");
    CHECK(type_of(scalar(Kind::timestamp)) == "DATETIME");
    CHECK(type_of(scalar(Kind::json)) == "JSON");
    CHECK(type_of(scalar(Kind::json), {.numeric = {}, .wide_json_numbers = config::WideJsonNumbers::text}) == "STRING");
    CHECK(type_of(data::list_of(scalar(Kind::date))) == "ARRAY<DATE>");
    CHECK(type_of(data::list_of(data::list_of(scalar(Kind::date)))) == "JSON");
    CHECK(type_of(data::structure_of({{.name = "a", .type = scalar(Kind::int32)}})) == "STRUCT<`a` INT64>");
    CHECK(type_of(data::structure_of({})) == "empty_structure");
    CHECK(type_of(data::structure_of({{.name = "a", .type = scalar(Kind::int32)},
                                      {.name = "A", .type = scalar(Kind::int32)}})) == "column_names_collide");
    CHECK(!column_of({.name = "1x", .type = scalar(Kind::text)}, {}));
    CHECK(!column_of({.name = "_TABLE_x", .type = scalar(Kind::text)}, {}));
}

TEST_CASE("JSON and intervals are made of what is staged") {
    auto column = column_of({.name = "x", .type = data::list_of(scalar(Kind::json))}, {});
    REQUIRE(column);
    CHECK(sql_type(staged(*column)) == "ARRAY<STRING>");
    CHECK(unstage_sql(*column, "S.`x`", {}) ==
          "ARRAY(SELECT PARSE_JSON(e0, wide_number_mode => 'exact') FROM UNNEST(S.`x`) AS e0 WITH OFFSET AS o0 ORDER "
          "BY o0)");
    auto plain = column_of({.name = "x", .type = scalar(Kind::text)}, {});
    CHECK(unstage_sql(*plain, "S.`x`", {}) == "S.`x`");
}

TEST_CASE("what is wider holds what is narrower, and nothing else") {
    Column whole{.name = "x", .type = "INT64"}, numeric{.name = "x", .type = "NUMERIC"},
        big{.name = "x", .type = "BIGNUMERIC"}, real{.name = "x", .type = "FLOAT64"},
        text{.name = "x", .type = "STRING"};
    CHECK(can_widen(whole, numeric));
    CHECK(can_widen(numeric, big));
    CHECK(!can_widen(whole, real));
    CHECK(!can_widen(numeric, real));
    CHECK(!holds(text, whole));
    CHECK(!can_widen(whole, whole));
}

TEST_CASE("values are staged as BigQuery reads them, or have a fault") {
    using Pair = std::pair<std::string, std::string>;
    CHECK(staged_value(scalar(Kind::date), "DATE '2024-02-29'") == Pair{"2024-02-29", ""});
    CHECK(staged_value(scalar(Kind::date), "DATE '10000-01-01'") == Pair{"NULL", "date_out_of_range"});
    CHECK(staged_value(scalar(Kind::timestamp), "TIMESTAMP '0001-01-01 00:00:00' - INTERVAL 1 DAY") ==
          Pair{"NULL", "date_out_of_range"});
    CHECK(staged_value(scalar(Kind::date), "DATE '10000-01-01'",
                       {.numeric = {}, .special_dates = config::SpecialDates::clamp}) == Pair{"9999-12-31", ""});
    CHECK(staged_value(scalar(Kind::date), "CAST(NULL AS DATE)",
                       {.numeric = {}, .special_dates = config::SpecialDates::clamp}) == Pair{"NULL", ""});
    CHECK(staged_value(scalar(Kind::uint64), "CAST(9223372036854775808 AS UBIGINT)").second == "number_out_of_range");
    CHECK(staged_value(scalar(Kind::interval), "INTERVAL '-14 months 3 days -4 hours -5 minutes -6.000007 seconds'")
              .first == "-1-2 3 -4:5:6.000007");
    CHECK(staged_value(scalar(Kind::interval), "INTERVAL '20000 years'").second == "interval_out_of_range");
    CHECK(staged_value(data::list_of(scalar(Kind::int32)), "[1, NULL, 3]").second == "array_null");
    CHECK(staged_value(data::list_of(scalar(Kind::int32)), "[1, NULL, 3]",
                       {.numeric = {}, .array_nulls = config::ArrayNulls::drop}) == Pair{"[1, 3]", ""});
    CHECK(staged_value(data::list_of(scalar(Kind::int32)), "[1, NULL, 3]",
                       {.numeric = {}, .array_nulls = config::ArrayNulls::json}) == Pair{"[1,null,3]", ""});
    CHECK(staged_value(data::list_of(scalar(Kind::date)), "[DATE '10000-01-01']").second == "date_out_of_range");
    CHECK(staged_value(data::list_of(data::list_of(data::decimal(4, 1))), "[[1.5::DECIMAL(4,1)]]").first ==
          R"([["1.5"]])");
}

TEST_CASE("intervals to the microsecond") {
    CHECK(staged_value(scalar(Kind::interval), "INTERVAL '87840000 hours'").second == "");
    CHECK(staged_value(scalar(Kind::interval), "INTERVAL '-87840000 hours' - INTERVAL '1 microsecond'").second ==
          "interval_out_of_range");
}

TEST_CASE("elements that are not taken leave no NULL in a list, which a load would fail over") {
    auto dates = data::list_of(scalar(Kind::date));
    const char* list = "[DATE '2024-02-29', DATE '10000-01-01']";
    CHECK(staged_value(dates, list) == std::pair<std::string, std::string>{"[2024-02-29]", "date_out_of_range"});
    CHECK(staged_value(dates, list, {.numeric = {}, .special_dates = config::SpecialDates::null}).second ==
          "array_null");
}

TEST_CASE("ranges of dates and times are RANGE where it holds them") {
    using Pair = std::pair<std::string, std::string>;
    auto flag = scalar(Kind::boolean), date = scalar(Kind::date);
    auto range = data::structure_of({{.name = "lower", .type = date},
                                     {.name = "upper", .type = date},
                                     {.name = "lower_inclusive", .type = flag},
                                     {.name = "upper_inclusive", .type = flag},
                                     {.name = "empty", .type = flag}});
    auto value = [](const char* lower, const char* upper, const char* flags) {
        return fmt::format("{{lower: CAST({} AS DATE), upper: CAST({} AS DATE), {}}}", lower, upper, flags);
    };
    constexpr const char* usual = "lower_inclusive: true, upper_inclusive: false, empty: false";
    auto day = value("'2024-01-01'", "'2024-01-02'", usual);
    CHECK(type_of(range) == "RANGE<DATE>");
    CHECK(type_of(data::list_of(range)) == "ARRAY<RANGE<DATE>>");
    CHECK(type_of(range, {.numeric = {}, .ranges = config::Ranges::structure}).starts_with("STRUCT<`lower` DATE"));
    CHECK(staged_value(range, day) == Pair{"{'start': 2024-01-01, 'end': 2024-01-02}", ""});
    CHECK(staged_value(range, value("'2024-01-01'", "NULL", usual)) == Pair{"{'start': 2024-01-01, 'end': NULL}", ""});
    for (const char* flags : {"lower_inclusive: true, upper_inclusive: true, empty: false",
                              "lower_inclusive: false, upper_inclusive: false, empty: false",
                              "lower_inclusive: false, upper_inclusive: false, empty: true"})
        CHECK(staged_value(range, value("'2024-01-01'", "'2024-01-02'", flags)) == Pair{"NULL", "range_not_canonical"});
    CHECK(staged_value(range, value("'10000-01-01'", "NULL", usual)).second == "date_out_of_range");
    CHECK(staged_value(range, value("'10000-01-01'", "'10000-01-02'", usual),
                       {.numeric = {}, .special_dates = config::SpecialDates::clamp})
              .second == "range_not_canonical");
    auto column = column_of({.name = "x", .type = range}, {});
    CHECK(sql_type(staged(*column)) == "STRUCT<`start` DATE, `end` DATE>");
    CHECK(unstage_sql(*column, "S.`x`", {}) == "IF(S.`x` IS NULL, NULL, RANGE(S.`x`.`start`, S.`x`.`end`))");
    CHECK(column_from_json(to_json(*column)).type == "RANGE<DATE>");
}

TEST_CASE("numbers by the digits that the source's own type has") {
    auto column = [](data::Type type, const char* source, config::TypePolicies policies = {}) {
        auto made = column_of({.name = "x", .type = std::move(type), .source_type = source}, policies);
        return made->type + " by " + made->carrier;
    };
    CHECK(column(data::decimal(38, 9), "numeric") == "BIGNUMERIC by NUMERIC");
    CHECK(column(data::decimal(38, 9), "numeric(38,9)") == "NUMERIC by ");
    CHECK(column(scalar(Kind::text), "numeric(60,30)") == "BIGNUMERIC by STRING");
    CHECK(column(scalar(Kind::text), "numeric(50,10)") == "STRING by ");
    CHECK(column(scalar(Kind::text), "numeric(60,30)",
                 {.numeric = {}, .special_numbers = config::SpecialNumbers::text}) == "STRING by ");
}

TEST_CASE("numbers of JSON that a double does not hold are found, and no others") {
    auto code = [](const std::string& json) {
        return staged_value(scalar(Kind::json), "CAST('" + json + "' AS JSON)").second;
    };
    CHECK(code(R"({"a": 1.5, "b": [9007199254740993, -9223372036854775808, 18446744073709551615]})") == "");
    CHECK(code(R"({"a": 18446744073709551616})") == "wide_json_number");
    CHECK(code(R"({"a": 0.1234567890123456789})") == "wide_json_number");
    CHECK(code(R"({"a": 0.1000000000000000055511151231257827})") == "wide_json_number");
    CHECK(code(R"({"a": 1e400})") == "wide_json_number");
    CHECK(code(R"({"a": 1e30})") == "");
    CHECK(code(R"({"a": "12345678901234567890123", "b \" 99999999999999999999999": 1})") == "");
}

TEST_CASE("partitions") {
    std::vector<Column> columns = {
        {.name = "Day", .type = "DATE"}, {.name = "at", .type = "TIMESTAMP"}, {.name = "id", .type = "INT64"}};
    auto by = [&](const std::string& text) {
        auto found = parse_partitioning(text, columns);
        return found ? found->sql(columns) : found.error().code;
    };
    CHECK(by("day") == "`Day`");
    CHECK(by("date(at)") == "DATE(`at`)");
    CHECK(by("TIMESTAMP_TRUNC(at, month)") == "TIMESTAMP_TRUNC(`at`, MONTH)");
    CHECK(by("range_bucket(id, generate_array(0, 1000, 10))") == "RANGE_BUCKET(`id`, GENERATE_ARRAY(0, 1000, 10))");
    CHECK(by("id") == "bad_partition");
    CHECK(by("nope") == "bad_partition");
    CHECK(by("date_trunc(day, hour)") == "bad_partition");
    CHECK(by("id % 7") == "bad_partition");
}

TEST_CASE("names and literals") {
    CHECK(quote_literal("it's\n\\ \x01") == R"('it\'s\n\\ \x01')");
    CHECK(label_value("shop") == "shop");
    CHECK(label_value("Shop orders") != label_value("shop_orders"));
    CHECK(label_value(std::string(100, 'x')).size() <= 63);
    CHECK(fingerprint({"a", "bc"}) != fingerprint({"ab", "c"}));
    TargetOptions options;
    options.table.value = "warehouse.{schema}_{table}";
    CHECK(*target_name(options, "public.orders") == "warehouse.public_orders");
    options.table.value = "no dataset";
    CHECK(!target_name(options, "public.orders"));
}

}  // namespace penstock::bigquery
