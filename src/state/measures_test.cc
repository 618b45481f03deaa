#include "state/measures.h"

#include <algorithm>

#include "state/test_folder.h"

namespace penstock::state {
namespace {

using Kind = Measure::Kind;

flow::RunResult ended(const std::string& run_id, flow::RunStatus status, int64_t written, int64_t rejected) {
    flow::RunResult result;
    result.identity = {.pipeline = "orders", .run_id = run_id};
    result.status = status;
    result.started_at = TimePoint(std::chrono::seconds(1'800'000'000));
    result.duration = std::chrono::duration<double>(2.5);
    result.spent.bytes_billed = 10;
    flow::TableResult table;
    table.source = "public.orders";
    table.counts.rows_read = written + rejected;
    table.counts.rows_written = written;
    table.counts.rows_rejected = rejected;
    result.tables.push_back(table);
    return result;
}

int64_t amount(const Folder& folder, Kind kind, const std::string& subject = "", const std::string& outcome = "") {
    auto measures = Measures::open_existing(url, folder.path);
    REQUIRE(measures);
    REQUIRE(measures->has_value());
    auto all = (*measures)->all();
    REQUIRE(all);
    for (const auto& one : *all)
        if (one.kind == kind && one.subject == subject && one.outcome == outcome) return one.amount;
    return -1;
}

TEST_CASE("measures: counts grow although the history forgets, and no end is counted twice") {
    Folder folder;
    auto store = folder.store();
    for (const std::string run_id : {"r1", "r2", "r3"}) {
        REQUIRE(store.begin_run({.pipeline = "orders", .run_id = run_id}, now()));
        auto result = ended(run_id, run_id == "r2" ? flow::RunStatus::failed : flow::RunStatus::success, 7, 2);
        REQUIRE(store.end_run(result, 1));
        if (run_id == "r3") REQUIRE(store.end_run(result, 1));
    }
    auto kept = store.runs(10);
    REQUIRE(kept);
    CHECK(kept->size() == 1);
    CHECK(amount(folder, Kind::runs, "", "success") == 2);
    CHECK(amount(folder, Kind::runs, "", "failed") == 1);
    CHECK(amount(folder, Kind::duration, "5") == 3);
    CHECK(amount(folder, Kind::duration_sum) == 7'500'000);
    CHECK(amount(folder, Kind::rows, "public.orders", "written") == 21);
    CHECK(amount(folder, Kind::rows, "public.orders", "rejected") == 6);
    CHECK(amount(folder, Kind::rows, "public.orders", "filtered") == -1);
    CHECK(amount(folder, Kind::bytes_billed) == 30);
    CHECK(amount(folder, Kind::loaded_until) == 1'800'000'000'000'000);
    // Those of runs that failed may have been taken back with them.
    CHECK(amount(folder, Kind::open_rejects) == 4);
}

TEST_CASE("measures: what is measured replaces what was, and nothing becomes negative") {
    Folder folder;
    auto store = folder.store();
    auto measures = Measures::open_existing(url, folder.path);
    REQUIRE(measures);
    auto& all = **measures;
    std::vector<Measure> slots = {{"shop", Kind::slot_bytes, "one", "", 5, now()},
                                  {"shop", Kind::slot_bytes, std::string(400, 'x'), "", 6, now()}};
    REQUIRE(all.replace("shop", Kind::slot_bytes, slots));
    REQUIRE(all.replace("shop", Kind::slot_bytes, std::span(slots).last(1)));
    CHECK(amount(folder, Kind::slot_bytes, "one") == -1);
    CHECK(amount(folder, Kind::slot_bytes, std::string(250, 'x')) == 6);
    REQUIRE(all.set({"orders", Kind::open_rejects, "", "", 3, now()}));
    REQUIRE(all.take_away({"orders", Kind::open_rejects, "", "", 2, now()}));
    CHECK(amount(folder, Kind::open_rejects) == 1);
    REQUIRE(all.take_away({"orders", Kind::open_rejects, "", "", 2, now()}));
    CHECK(amount(folder, Kind::open_rejects) == 0);
}

}  // namespace
}  // namespace penstock::state
