#include "connect/postgres/capture/relation_columns.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace penstock::postgres {
namespace {

/// A table whose columns come, go and are renamed, as PostgreSQL keeps them: numbers go up and never come back.
struct Table {
    std::vector<NumberedColumn> columns;

    void add(std::string name, uint32_t type) {
        columns.push_back({.number = static_cast<int32_t>(columns.size() + 1), .name = std::move(name), .type = type});
    }
    NumberedColumn& named(const std::string& name) {
        return *std::ranges::find_if(columns, [&](const auto& one) { return !one.dropped && one.name == name; });
    }
    std::vector<const NumberedColumn*> live() const {
        std::vector<const NumberedColumn*> out;
        for (const auto& column : columns)
            if (!column.dropped) out.push_back(&column);
        return out;
    }
    KnownColumns known() const {
        KnownColumns known{.file = "1"};
        for (const auto* column : live())
            known.columns[column->name] = {.number = column->number, .type = column->type};
        return known;
    }
    std::vector<RelationColumn> message() const {
        std::vector<RelationColumn> out;
        for (const auto* column : live()) out.push_back({.name = column->name, .type = column->type});
        return out;
    }
    /// Of those that are gone, the catalog keeps the length: text is as long as numeric.
    CatalogNow now(std::string file = "1") const {
        CatalogNow now{.columns = columns, .file = std::move(file)};
        for (auto& column : now.columns) {
            if (!column.dropped) continue;
            column.may_have_been = column.type == 25 || column.type == 1700 ? std::vector<uint32_t>{25, 1700}
                                                                            : std::vector<uint32_t>{column.type};
            column.type = 0;
        }
        return now;
    }
    std::vector<int32_t> numbers() const {
        std::vector<int32_t> out;
        for (const auto* column : live()) out.push_back(column->number);
        return out;
    }
};

Table three() {
    Table table;
    table.add("id", 23);
    table.add("a", 25);
    table.add("b", 25);
    return table;
}

TEST_CASE("columns are known by their numbers whatever they are called") {
    Table before = three(), now = three();
    now.named("a").name = "x";
    now.named("b").name = "a";
    now.named("x").name = "b";
    auto numbers = numbers_of(now.message(), before.known(), now.now());
    CHECK(numbers == std::vector<int32_t>{1, 2, 3});
    CHECK(numbers_of(before.message(), before.known(), now.now()) == std::vector<int32_t>{1, 2, 3});
}

TEST_CASE("a column that came is told from one that went by its type, and not at all where they have one") {
    Table before = three(), now = three();
    now.named("b").dropped = true;
    now.add("c", 1700);
    CHECK(numbers_of(before.message(), before.known(), now.now()) == std::vector<int32_t>{1, 2, 3});
    CHECK(numbers_of(now.message(), before.known(), now.now()) == std::vector<int32_t>{1, 2, 4});
    now.named("c").type = 25;
    CHECK_FALSE(numbers_of(before.message(), before.known(), now.now()));
}

TEST_CASE("a column that was there already and not captured, and a message of another table") {
    Table before = three(), now = three();
    auto known = before.known();
    known.columns.erase("a");
    CHECK_FALSE(numbers_of(before.message(), known, now.now()));
    Table other;
    other.add("id", 20);
    CHECK_FALSE(numbers_of(other.message(), before.known(), now.now()));
}

TEST_CASE("a column that was renamed after it came, beside one that went") {
    Table before = three(), then = three();
    then.named("b").dropped = true;
    then.add("c", 1700);
    Table now = then;
    now.named("c").name = "d";
    CHECK(numbers_of(then.message(), before.known(), now.now()) == std::vector<int32_t>{1, 2, 4});
    CHECK_FALSE(numbers_of(then.message(), before.known(), now.now("2")));
    // The name is another's.
    now.named("a").name = "c";
    CHECK_FALSE(numbers_of(then.message(), before.known(), now.now()));
}

TEST_CASE("any history of columns: the answer is right or none") {
    int answered = 0, asked = 0;
    for (uint32_t seed = 0; seed < 4000; ++seed) {
        std::mt19937 random(seed);
        auto chance = [&](size_t below) { return std::uniform_int_distribution<size_t>(0, below - 1)(random); };
        Table table = three();
        auto change = [&] {
            auto live = table.live();
            auto& column = table.columns[static_cast<size_t>(live[chance(live.size())]->number - 1)];
            auto fresh = fmt::format("c{}", chance(6));
            bool taken = std::ranges::any_of(live, [&](const auto* one) { return one->name == fresh; });
            switch (chance(3)) {
                case 0:
                    if (!taken) table.add(fresh, static_cast<uint32_t>(20 + chance(3)));
                    break;
                case 1:
                    if (live.size() > 1) column.dropped = true;
                    break;
                default:
                    if (!taken) column.name = fresh;
            }
        };
        for (size_t i = chance(6); i > 0; --i) change();
        auto before = table.known();
        std::vector<Table> times = {table};
        for (size_t i = chance(6); i > 0; --i) {
            change();
            times.push_back(table);
        }
        for (const auto& then : times) {
            auto names = then.message();
            auto numbers = numbers_of(names, before, table.now());
            ++asked;
            answered += numbers ? 1 : 0;
            INFO("seed ", seed);
            if (numbers) CHECK(*numbers == then.numbers());
        }
    }
    CHECK(answered * 2 > asked);
}

}  // namespace
}  // namespace penstock::postgres
