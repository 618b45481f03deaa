// Parts that are larger than what DuckDB may take of memory: all that is held for each key can be spilled.
#include <atomic>
#include <cstring>

#include "connect/duckdb/test_changes.h"

namespace penstock::duckdb::test {
namespace {

/// Rows of one text key each, inserted and then a tenth of them deleted, as one transaction brings them.
class KeyScan : public flow::Scan {
  public:
    KeyScan(data::Schema schema, int64_t rows, uint64_t commit)
        : schema_(std::move(schema)), rows_(rows), commit_(commit) {}
    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 1; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override { return std::make_unique<Reader>(*this); }
    Result<flow::Checkpoint> finish() override { return flow::Checkpoint{}; }

  private:
    struct Reader : flow::ScanReader {
        explicit Reader(KeyScan& owner) : scan(owner) {}
        Status fill(data::Block& block) override {
            block.rows = 0;
            for (int64_t end = scan.rows_ + scan.rows_ / 10; next < end && block.rows < data::block_rows; ++next)
                put(block, block.rows++);
            return {};
        }
        void put(data::Block& block, size_t row) {
            auto text = [&](size_t column, std::string_view value) {
                char* bytes = block.allocate(value.size());
                std::memcpy(bytes, value.data(), value.size());
                block.columns[column].values<data::StringRef>()[row] = data::StringRef(bytes, value.size());
            };
            bool deletes = next >= scan.rows_;
            auto key = static_cast<uint64_t>(deletes ? 10 * (next - scan.rows_) : next);
            text(0, fmt::format("{:016x}{:016x}", key * 0x9E3779B97F4A7C15U, key));
            text(1, deletes ? "d" : "c");
            text(2, flow::change::position_of(scan.commit_, static_cast<uint64_t>(next)));
            block.columns[3].values<int64_t>()[row] = 1'700'000'000'000'000;
            text(4, "");
            block.columns[5].set_null(row);
            block.columns[6].set_null(row);
        }
        KeyScan& scan;
        int64_t next = 0;
    };

    data::Schema schema_;
    int64_t rows_;
    uint64_t commit_;
};

TEST_CASE("under soft deletes a part with many keys is applied within a small memory") {
    constexpr int64_t keys = 600'000;
    Warehouse warehouse;
    flow::TableTarget target{.name = "t", .mode = flow::Mode::merge, .key = {"id"}, .deletes = flow::Deletes::soft};
    target.info = {.name = "t", .schema = {{field("id", data::Kind::text)}}, .key = {"id"}, .changes = true};
    SinkSettings settings = warehouse.settings();
    settings.engine.memory_limit_bytes = 64 << 20;
    Sink sink(settings);
    KeyScan scan(flow::change::part_schema(target.info), keys, 1);
    flow::Progress progress;
    flow::RejectLog rejects({.stop = false});
    REQUIRE(sink.begin({.pipeline = "p", .run_id = "20261121t063330_9f3a01bc77de"}));
    auto counts = sink.load(target, scan, {progress, rejects, {}});
    REQUIRE_MESSAGE(counts, counts.error().text());
    CHECK(counts->rows_written == keys);
    CHECK(counts->rows_deleted == keys / 10);
    CHECK(counts->balanced());
    flow::Checkpoint checkpoint;
    std::vector<flow::TableCommit> commits = {{target, checkpoint, *counts, rejects}};
    REQUIRE(sink.commit(commits));
    CHECK(warehouse.line("SELECT count(*), count(*) FILTER (_penstock_deleted) FROM t") == "600000,60000");
}

}  // namespace
}  // namespace penstock::duckdb::test
