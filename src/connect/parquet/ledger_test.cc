#include "connect/parquet/ledger.h"

#include <doctest/doctest.h>

#include "connect/parquet/test_lake.h"

namespace penstock::parquet {
namespace {

TEST_CASE("a folder that is not there has an empty ledger") {
    Ledger ledger("/nonexistent/lake");
    CHECK(ledger.rejects({})->empty());
    CHECK(*ledger.resolve({}, flow::Resolution::discarded, now()) == 0);
    CHECK(ledger.schema_history("")->empty());
    CHECK(ledger.checkpoints("")->empty());
}

TEST_CASE("rejects are listed in order, and marked once; checkpoints and schema decisions are found") {
    Lake lake;
    auto target = lake.target("t", flow::Mode::merge);
    target.key = {"text"};
    lake.policy = {.stop = false};
    lake.run(target, {{1, {}, 1, 0}, {2, "b", 1, 0}, {3, {}, 1, 0}}, "run_a");
    lake.run(target, {{4, {}, 1, 0}, {5, "c", 1, 0}}, "run_b");

    Ledger ledger(lake.root());
    auto all = ledger.rejects({});
    REQUIRE(all);
    REQUIRE(all->size() == 3);
    CHECK((*all)[0].run_id == "run_a");
    CHECK((*all)[2].run_id == "run_b");
    CHECK((*all)[2].reject.code == "null_key");
    CHECK((*all)[2].reject.table == "public.t");
    CHECK((*all)[2].reject.payload.find("\"id\":4") != std::string::npos);
    CHECK((*all)[0].id != (*all)[1].id);
    CHECK((*all)[0].open());
    CHECK(ledger.rejects({.limit = 1})->front().run_id == "run_b");
    CHECK(ledger.rejects({.pipeline = "other"})->empty());

    auto at = TimePoint(std::chrono::microseconds(1'700'000'000'123'456));
    CHECK(*ledger.resolve({.ids = {(*all)[1].id}}, flow::Resolution::discarded, at) == 1);
    CHECK(*ledger.resolve({.ids = {(*all)[1].id}}, flow::Resolution::replayed, at) == 0);
    auto one = ledger.rejects({.ids = {(*all)[1].id}});
    REQUIRE(one->size() == 1);
    CHECK(one->front().discarded_at == at);
    CHECK(ledger.rejects({.open_only = true})->size() == 2);
    CHECK(*ledger.resolve({.pipeline = "p"}, flow::Resolution::replayed, at) == 2);
    CHECK(ledger.rejects({.open_only = true})->empty());

    auto checkpoints = ledger.checkpoints("p");
    REQUIRE(checkpoints->size() == 1);
    CHECK(checkpoints->front().batch == 2);
    CHECK(checkpoints->front().counts.rows_rejected == 1);
    CHECK(checkpoints->front().source == "public.t");
    CHECK(checkpoints->front().target == "t");
    CHECK(checkpoints->front().checkpoint.cursor_to == "to 2");
    CHECK(ledger.checkpoints("q")->empty());

    lake.schema.fields.push_back({.name = "more", .type = data::scalar(data::Kind::int64)});
    lake.run(target, {{6, "d", 1, 0}});
    auto history = ledger.schema_history("t");
    REQUIRE(history->size() == 2);
    CHECK((*history)[0].change == "table_created");
    CHECK((*history)[1].change == "column_added");
    CHECK((*history)[1].column == "more");
    CHECK((*history)[1].version == 2);
    CHECK(data::schema_from_json((*history)[1].columns)->fields.size() == 5);
    CHECK(ledger.schema_history("u")->empty());
}

}  // namespace
}  // namespace penstock::parquet
