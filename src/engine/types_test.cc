#include "engine/types.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include "engine/compression.h"

namespace penstock::engine {
namespace {

using data::Kind;

/// Every kind, alone and inside a list, a structure and a map.
std::vector<data::Type> every_type() {
    std::vector<data::Type> types;
    for (int kind = 0; kind <= static_cast<int>(Kind::interval); ++kind)
        if (static_cast<Kind>(kind) != Kind::decimal) types.push_back(data::scalar(static_cast<Kind>(kind)));
    for (int precision : {1, 4, 5, 9, 10, 18, 19, 38}) types.push_back(data::decimal(precision, precision / 2));
    size_t plain = types.size();
    for (size_t i = 0; i < plain; ++i) {
        types.push_back(data::list_of(types[i]));
        types.push_back(data::structure_of(
            {{.name = "a \"quoted\" name", .type = types[i]}, {.name = "b b", .type = data::list_of(types[i])}}));
        types.push_back(data::map_of(data::scalar(Kind::text), types[i]));
    }
    return types;
}

TEST_CASE("a table made by a type's SQL name has that type and name") {
    auto database = *Database::in_memory({});
    auto connection = *database.connect();
    for (const auto& type : every_type()) {
        CAPTURE(data::to_string(type));
        REQUIRE(connection.execute("CREATE OR REPLACE TABLE t (c " + sql_type(type) + ")"));
        auto columns = *columns_of(connection, "SELECT * FROM t");
        REQUIRE(columns.size() == 1);
        REQUIRE(columns[0].type);
        CHECK(data::to_string(*columns[0].type) == data::to_string(type));
        CHECK(columns[0].sql_type == sql_type(*columns[0].type));
    }
}

TEST_CASE("types that no kind is stored as are not taken for one") {
    auto database = *Database::in_memory({});
    auto connection = *database.connect();
    auto columns = *columns_of(
        connection, "SELECT 1::HUGEINT AS h, 'a'::ENUM('a') AS e, 1::UTINYINT AS t, [1::HUGEINT] AS l, 1 AS fine");
    for (size_t i = 0; i < 4; ++i) CHECK_FALSE(columns[i].type);
    CHECK(columns[0].sql_type == "HUGEINT");
    CHECK(columns[4].type == data::scalar(Kind::int32));
}

TEST_CASE("compression is chosen where something is known") {
    data::Field text{.name = "s", .type = data::scalar(Kind::text)};
    CHECK(choose_compression(text, -1, Storage::v1_3) == "");
    text.statistics = {.distinct = 50, .average_bytes = 9};
    CHECK(choose_compression(text, 1'000'000, Storage::v1_3) == "dict_fsst");
    CHECK(choose_compression(text, 1'000'000, Storage::v1_2) == "dictionary");
    text.statistics = {.distinct = 900'000, .average_bytes = 24};
    CHECK(choose_compression(text, 1'000'000, Storage::v1_3) == "zstd");
    CHECK(choose_compression(text, 1'000'000, Storage::v1_2) == "fsst");
    text.statistics = {.distinct = 900'000, .average_bytes = 240};
    CHECK(choose_compression(text, 1'000'000, Storage::v1_2) == "zstd");
    CHECK(choose_compression(text, 1'000'000, Storage::v1_0) == "fsst");
    CHECK(choose_compression({.name = "u", .type = data::scalar(Kind::uuid)}, -1, Storage::v1_3) == "uncompressed");
    CHECK(choose_compression({.name = "d", .type = data::decimal(30, 2)}, -1, Storage::v1_3) == "bitpacking");
    CHECK(choose_compression({.name = "f", .type = data::scalar(Kind::float64)}, -1, Storage::v1_3) == "");
    CHECK(choose_compression({.name = "l", .type = data::list_of(data::scalar(Kind::int64))}, -1, Storage::v1_3) == "");
}

TEST_CASE("a storage version is read from its text") {
    CHECK(storage_of("v1.0.0+") == Storage::v1_0);
    CHECK(storage_of("v1.2.0+") == Storage::v1_2);
    CHECK(storage_of("v1.5.0+") == Storage::v1_3);
    CHECK(storage_of("v2.0.0") == Storage::v1_3);
    CHECK(storage_of("unknown") == Storage::v1_0);
}

TEST_CASE("every chosen compression is one that DuckDB takes and reads back, updates included") {
    auto file = std::filesystem::temp_directory_path() / fmt::format("penstock_types_{}.duckdb", ::getpid());
    {
        auto database = *Database::open(file, {});
        auto connection = *database.connect();
        for (const auto& type : every_type()) {
            data::Field field{.name = "c", .type = type};
            for (data::ColumnStatistics known : {data::ColumnStatistics{},
                                                 {.distinct = 10, .average_bytes = 9},
                                                 {.distinct = 0, .average_bytes = 20},
                                                 {.distinct = 0, .average_bytes = 200}}) {
                field.statistics = known;
                auto compression = choose_compression(field, -1, Storage::v1_3);
                if (compression.empty()) continue;
                CAPTURE(data::to_string(type));
                CAPTURE(compression);
                auto sql = fmt::format(
                    "CREATE OR REPLACE TABLE t (i INTEGER, c {} USING COMPRESSION {}); INSERT INTO t SELECT range, "
                    "NULL FROM range(5000); CHECKPOINT;"
                    "UPDATE t SET i = 0 WHERE i % 2 = 0; DELETE FROM t WHERE i = 1; CHECKPOINT",
                    sql_type(type), compression);
                auto done = connection.execute(sql);
                CHECK_MESSAGE(done, (done ? "" : done.error().text()));
            }
        }
    }
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace penstock::engine
