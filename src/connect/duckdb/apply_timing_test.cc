// How long a million changes take: TIMING=1 connect_duckdb_tests -tc="timing of changes"
#include <chrono>
#include <cstdlib>
#include <ctime>

#include "connect/duckdb/test_changes.h"

namespace penstock::duckdb::test {
namespace {

using data::Kind;

/// Changes made on the fly: 4 of 10 insert, 5 update, 1 deletes; every tenth transaction's rows leave a value out if asked.
class MadeScan : public flow::Scan {
  public:
    MadeScan(data::Schema schema, int64_t rows, int64_t keys, bool unsent, uint64_t commit)
        : schema_(std::move(schema)), rows_(rows), keys_(keys), unsent_(unsent), commit_(commit) {}
    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 2; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override { return std::make_unique<Reader>(*this); }
    Result<flow::Checkpoint> finish() override { return flow::Checkpoint{}; }

  private:
    struct Reader : flow::ScanReader {
        explicit Reader(MadeScan& owner) : scan(owner) {}
        Status fill(data::Block& block) override {
            auto first = scan.next_.fetch_add(static_cast<int64_t>(data::block_rows));
            auto end = std::min<int64_t>(first + static_cast<int64_t>(data::block_rows), scan.rows_);
            for (auto i = first; i < end; ++i) put(block, static_cast<size_t>(i - first), i);
            block.rows = end > first ? static_cast<size_t>(end - first) : 0;
            return {};
        }
        void put(data::Block& block, size_t row, int64_t i) {
            auto text = [&](size_t column, std::string_view value) {
                char* bytes = block.allocate(value.size());
                std::memcpy(bytes, value.data(), value.size());
                block.columns[column].values<data::StringRef>()[row] = data::StringRef(bytes, value.size());
            };
            bool snapshot = block.columns.size() < 7;
            char op = snapshot ? 'r' : i % 10 == 0 ? 'd' : i % 10 < 5 ? 'c' : 'u';
            bool leaves_out = scan.unsent_ && op == 'u';
            block.columns[0].values<int64_t>()[row] =
                snapshot ? i
                         : static_cast<int64_t>((static_cast<uint64_t>(i) * 2654435761U) %
                                                static_cast<uint64_t>(scan.keys_));
            text(1, fmt::format("title {}", i));
            if (leaves_out || op == 'd') block.columns[2].set_null(row);
            else text(2, fmt::format("a body of some length, number {}", i * 7919));
            text(3, std::string_view(&op, 1));
            text(4, flow::change::position_of(scan.commit_ + (snapshot ? 0 : static_cast<uint64_t>(i / 50)),
                                              static_cast<uint64_t>(i % 50)));
            block.columns[5].values<int64_t>()[row] = 1'700'000'000'000'000 + i / 50;
            if (snapshot) return;
            text(6, leaves_out ? "001" : "");
            block.columns[7].set_null(row);
            block.columns[8].set_null(row);
        }
        MadeScan& scan;
    };

    data::Schema schema_;
    int64_t rows_, keys_;
    bool unsent_;
    uint64_t commit_;
    std::atomic<int64_t> next_ = 0;
};

void time(flow::Mode mode, flow::Deletes deletes, bool unsent, const std::string& what) {
    constexpr int64_t million = 1'000'000;
    Warehouse warehouse;
    flow::TableTarget target{.name = "t", .mode = mode, .key = {"id"}, .deletes = deletes};
    target.info = {.name = "t",
                   .schema = {{field("id", Kind::int64), field("title", Kind::text), field("body", Kind::text)}},
                   .key = {"id"},
                   .changes = true};
    SinkSettings settings = warehouse.settings();
    settings.engine.memory_limit_bytes = 352 << 20;
    Sink sink(settings);
    auto load = [&](flow::Scan& scan, const std::string& name) {
        flow::Progress progress;
        flow::RejectLog rejects({.stop = false});
        flow::ScanContext context{progress, rejects, {}};
        auto start = std::chrono::steady_clock::now();
        auto cpu = std::clock();
        REQUIRE(sink.begin({.pipeline = "p", .run_id = "20261121t063330_9f3a01bc77de"}));
        auto counts = sink.load(target, scan, context);
        REQUIRE_MESSAGE(counts, counts.error().text());
        flow::Checkpoint checkpoint;
        std::vector<flow::TableCommit> commits = {{target, checkpoint, *counts, rejects}};
        auto loaded = std::chrono::steady_clock::now();
        REQUIRE(sink.commit(commits));
        auto end = std::chrono::steady_clock::now();
        MESSAGE(what, ", ", name, ": load ", std::chrono::duration<double>(loaded - start).count(), " s, commit ",
                std::chrono::duration<double>(end - loaded).count(), " s, CPU ",
                static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC, " s, ", applied(counts));
    };
    MadeScan snapshot(flow::change::snapshot_schema(target.info), 2 * million, 2 * million, false, 1);
    load(snapshot, "snapshot of 2 M rows");
    MadeScan changes(flow::change::part_schema(target.info), million, 2 * million, unsent, 100);
    load(changes, "1 M changes");
    MadeScan few(flow::change::part_schema(target.info), 10'000, 2 * million, unsent, 100'000);
    load(few, "10 k changes");
}

TEST_CASE("timing of changes" * doctest::skip(std::getenv("TIMING") == nullptr)) {
    time(flow::Mode::merge, flow::Deletes::hard, false, "mirror");
    time(flow::Mode::merge, flow::Deletes::hard, true, "mirror, updates without a value");
    time(flow::Mode::merge, flow::Deletes::soft, false, "soft deletes");
    time(flow::Mode::history, flow::Deletes::hard, false, "history");
    time(flow::Mode::history, flow::Deletes::hard, true, "history, updates without a value");
}

}  // namespace
}  // namespace penstock::duckdb::test
