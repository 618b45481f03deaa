#include "state/target_ledger.h"

#include <doctest/doctest.h>

#include "state/test_folder.h"

namespace penstock::state {
namespace {

flow::Checkpoint checkpoint_at(int n) {
    return {.cursor_from = "",
            .cursor_to = "",
            .position = "p" + std::to_string(n),
            .read_at = TimePoint(std::chrono::microseconds(1000 + n))};
}

/// What a sink does: one table, one commit.
struct Commit {
    flow::TableTarget target{.info = {.name = "public.orders"}, .name = "topics/orders"};
    flow::Checkpoint checkpoint = checkpoint_at(1);
    flow::Counts counts{.rows_read = 3, .rows_written = 2, .rows_rejected = 1};
    flow::RejectLog rejects{{.stop = false}};

    Status into(TargetLedger& ledger, const char* pipeline = "shop") {
        std::vector<flow::TableCommit> tables;
        tables.push_back({target, checkpoint, counts, rejects});
        return ledger.commit({.pipeline = pipeline, .run_id = "run_1"}, tables);
    }
    void reject(const char* position) {
        REQUIRE(rejects.add({.table = "public.orders",
                             .source_position = position,
                             .key = R"({"id":1})",
                             .code = "message_too_large",
                             .reason = "it's 11 MB",
                             .payload = R"({"id":1,"x":"ü"})",
                             .received_at = TimePoint(std::chrono::microseconds(5))}));
    }
};

TargetLedger ledger_of(const Folder& folder, const char* connection = "bus") { return {url, folder.path, connection}; }

}  // namespace

TEST_CASE("a ledger without state is empty and makes none") {
    Folder folder;
    auto ledger = ledger_of(folder);
    CHECK(ledger.rejects({})->empty());
    CHECK(ledger.checkpoints("")->empty());
    CHECK(*ledger.resolve({}, flow::Resolution::discarded, now()) == 0);
    CHECK_FALSE(*ledger.checkpoint("shop", "public.orders", "topics/orders"));
    CHECK_FALSE(std::filesystem::exists(folder.file()));
    CHECK_FALSE(folder.is_there());
}

TEST_CASE("a checkpoint comes back as it was handed over, the newest of each table") {
    Folder folder;
    Commit commit;
    for (int n : {1, 2, 3}) {
        auto ledger = ledger_of(folder);
        REQUIRE(ledger.checkpoint("shop", "public.orders", "topics/orders"));
        commit.checkpoint = checkpoint_at(n);
        REQUIRE(commit.into(ledger));
    }
    auto ledger = ledger_of(folder);
    CHECK(**ledger.checkpoint("shop", "public.orders", "topics/orders") == checkpoint_at(3));
    CHECK_FALSE(*ledger.checkpoint("shop", "public.orders", "topics/others"));
    CHECK_FALSE(*ledger.checkpoint("other", "public.orders", "topics/orders"));
    auto batches = ledger.checkpoints("shop");
    REQUIRE(batches->size() == 1);
    CHECK(batches->front().batch == 3);
    CHECK(batches->front().counts.rows_written == 2);
    CHECK(batches->front().target == "topics/orders");
    CHECK(ledger_of(folder, "another bus").checkpoints("")->empty());
}

TEST_CASE("a stream's own checkpoint commits with the tables'") {
    Folder folder;
    auto ledger = ledger_of(folder);
    REQUIRE(ledger.commit({.pipeline = "shop", .run_id = "run_1"}, {}, checkpoint_at(9)));
    CHECK(**ledger_of(folder).checkpoint("shop", TargetLedger::stream_source, "") == checkpoint_at(9));
}

TEST_CASE("a run that was overtaken commits nothing") {
    Folder folder;
    auto slow = ledger_of(folder), quick = ledger_of(folder);
    REQUIRE(slow.checkpoint("shop", "public.orders", "topics/orders"));
    REQUIRE(quick.checkpoint("shop", "public.orders", "topics/orders"));
    Commit first, second;
    second.checkpoint = checkpoint_at(2);
    second.reject("late");
    REQUIRE(first.into(quick));
    auto refused = second.into(slow);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "checkpoint_moved");
    CHECK(slow.rejects({})->empty());
    CHECK(**quick.checkpoint("shop", "public.orders", "topics/orders") == checkpoint_at(1));
}

TEST_CASE("rejects are listed, found by id, and resolved once") {
    Folder folder;
    auto ledger = ledger_of(folder);
    Commit commit;
    commit.reject("a");
    commit.reject("b");
    REQUIRE(commit.into(ledger));
    auto all = ledger.rejects({.pipeline = "shop", .table = "public.orders"});
    REQUIRE(all->size() == 2);
    CHECK(all->at(0).reject.source_position == "a");
    CHECK(all->at(0).reject.payload == R"({"id":1,"x":"ü"})");
    CHECK(all->at(0).reject.received_at == TimePoint(std::chrono::microseconds(5)));
    CHECK(ledger.rejects({.ids = {all->at(1).id}})->front().reject.source_position == "b");
    CHECK(ledger.rejects({.limit = 1})->size() == 1);
    CHECK(ledger.rejects({.pipeline = "other"})->empty());

    // Another connection's ledger of the same state must not touch it.
    CHECK(*ledger_of(folder, "other").resolve({.ids = {"1"}}, flow::Resolution::discarded, now()) == 0);
    CHECK(*ledger.resolve({.ids = {"1", "x", "99"}}, flow::Resolution::discarded, now()) == 1);
    CHECK(*ledger.resolve({.ids = {"1"}}, flow::Resolution::discarded, now()) == 0);
    CHECK(ledger.rejects({.open_only = true})->size() == 1);
    CHECK(*ledger.resolve({.pipeline = "shop"}, flow::Resolution::replayed, now()) == 1);
    CHECK(ledger.rejects({.open_only = true})->empty());
}

TEST_CASE("a replay commits only while its rejects are open") {
    Folder folder;
    auto ledger = ledger_of(folder);
    Commit commit;
    commit.reject("a");
    REQUIRE(commit.into(ledger));
    Commit replay;
    replay.target.replays = {"1"};
    REQUIRE(replay.into(ledger));
    CHECK_FALSE(ledger.rejects({})->front().open());
    auto again = replay.into(ledger);
    REQUIRE_FALSE(again);
    CHECK(again.error().code == flow::rejects_closed(replay.target, 0).code);
}

TEST_CASE("state of the version before is brought up to date") {
    Folder folder;
    {
        auto store = folder.store();
    }
    folder.execute("DROP TABLE IF EXISTS penstock.checkpoints");
    folder.execute("DROP TABLE IF EXISTS penstock.rejects");
    folder.execute("DROP TABLE IF EXISTS penstock.messages");
    folder.execute("DROP TABLE IF EXISTS penstock.spending");
    folder.execute("DROP TABLE IF EXISTS penstock.bills");
    folder.execute("DROP TABLE IF EXISTS penstock.seats");
    folder.execute("DROP TABLE IF EXISTS penstock.watches");
    folder.execute("DROP TABLE IF EXISTS penstock.intervals");
    folder.execute("DROP TABLE IF EXISTS penstock.measures");
    folder.execute("DROP TABLE IF EXISTS penstock.notices");
    folder.execute("DROP TABLE IF EXISTS penstock.audit");
    folder.execute("DROP TABLE IF EXISTS penstock.run_logs");
    for (std::string column : {"deferred_until", "origin", "window_start", "window_end", "token"})
        folder.execute_once("ALTER TABLE penstock.runs DROP COLUMN " + column);
    folder.execute("UPDATE penstock.schema_version SET version = 1");
    auto ledger = ledger_of(folder);
    Commit commit;
    REQUIRE(commit.into(ledger));
    CHECK(ledger.checkpoints("")->size() == 1);
}

}  // namespace penstock::state
