#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "connect/duckdb/sink.h"
#include "data/block.h"

namespace penstock::duckdb::test {

using Row = std::vector<std::optional<std::string>>;
inline constexpr std::nullopt_t null = std::nullopt;

/// A scan over rows written as text: numbers, and micros or days for times.
class RowScan : public flow::Scan {
  public:
    RowScan(data::Schema schema, std::vector<Row> rows) : schema_(std::move(schema)), rows_(std::move(rows)) {}

    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 2; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override { return std::make_unique<Reader>(*this); }
    Result<flow::Checkpoint> finish() override { return flow::Checkpoint{}; }

    std::optional<Error> failure;  ///< instead of the last row

  private:
    struct Reader : flow::ScanReader {
        explicit Reader(RowScan& owner) : scan(owner) {}
        Status fill(data::Block& block) override {
            size_t row = scan.next_.fetch_add(1);
            if (row >= scan.rows_.size()) return {};
            if (scan.failure && row + 1 == scan.rows_.size()) return fail(*scan.failure);
            for (size_t i = 0; i < block.columns.size(); ++i) write(block.columns[i], scan.rows_[row][i]);
            block.rows = 1;
            return {};
        }
        static void write(data::Column& column, const std::optional<std::string>& value) {
            if (!value) return column.set_null(0);
            switch (column.layout()) {
                case data::Layout::int8: column.values<int8_t>()[0] = *value == "true"; break;
                case data::Layout::int16: column.values<int16_t>()[0] = static_cast<int16_t>(std::stoi(*value)); break;
                case data::Layout::int32: column.values<int32_t>()[0] = std::stoi(*value); break;
                case data::Layout::int64: column.values<int64_t>()[0] = std::stoll(*value); break;
                case data::Layout::int128: column.values<data::Int128>()[0] = std::stoll(*value); break;
                case data::Layout::float32: column.values<float>()[0] = std::stof(*value); break;
                case data::Layout::float64: column.values<double>()[0] = std::stod(*value); break;
                case data::Layout::string: column.values<data::StringRef>()[0] = data::StringRef(*value); break;
                default: FAIL("not in these tests");
            }
        }
        RowScan& scan;
    };

    data::Schema schema_;
    std::vector<Row> rows_;
    std::atomic<size_t> next_ = 0;
};

inline data::Field field(std::string name, data::Kind kind, int32_t id = 0) {
    return {.name = std::move(name), .type = data::scalar(kind), .source_id = id};
}

/// A warehouse file of its own and runs into it, each with a sink of its own as in the program.
struct Warehouse {
    std::filesystem::path folder =
        std::filesystem::temp_directory_path() / fmt::format("penstock_sink_{}_{}", ::getpid(), counter()++);
    std::filesystem::path file = folder / "w.duckdb";
    int runs = 0;
    std::vector<flow::Reject> rejected;
    flow::TablePlan plan;
    bool stop_on_reject = false;

    Warehouse() { std::filesystem::create_directories(folder); }
    ~Warehouse() { std::filesystem::remove_all(folder); }
    static int& counter() {
        static int value = 0;
        return value;
    }

    SinkSettings settings() const {
        return {.file = file, .pipeline = "p", .engine = {.threads = 2, .memory_limit_bytes = 128 << 20}};
    }

    /// plan, begin, load, commit; the counts with rows_rejected filled in as the runner does.
    Result<flow::Counts> run(flow::TableTarget target, std::vector<Row> rows, flow::Checkpoint checkpoint = {},
                             std::optional<Error> failure = {}) {
        Sink sink(settings());
        rejected.clear();
        PN_TRY(auto plans, sink.plan({target}, {}));
        plan = plans.front();
        RowScan scan(target.info.schema, std::move(rows));
        scan.failure = std::move(failure);
        flow::Progress progress;
        flow::RejectLog rejects({.stop = stop_on_reject});
        auto counts = work(sink, target, scan, {progress, rejects, {}}, checkpoint);
        if (!counts) {
            sink.abort();
            return counts;
        }
        PN_CHECK(rejects.for_each([&](const flow::Reject& reject) -> Status {
            rejected.push_back(reject);
            return {};
        }));
        CHECK(counts->balanced());
        return counts;
    }

    std::vector<std::vector<std::string>> rows(const std::string& sql) {
        auto database = engine::Database::open(file, {});
        if (!database) FAIL(database.error().text());
        auto connection = *database->connect();
        auto result = connection.query(sql);
        if (!result) FAIL(result.error().text());
        std::vector<std::vector<std::string>> out;
        for (const auto& row : result->rows) {
            out.emplace_back();
            for (const auto& value : row) out.back().push_back(value.value_or("NULL"));
        }
        return out;
    }
    /// Rows as one line: "1,a 2,NULL"
    std::string line(const std::string& sql) {
        std::string text;
        for (const auto& row : rows(sql)) text += fmt::format("{}{}", text.empty() ? "" : " ", fmt::join(row, ","));
        return text;
    }
    void execute(const std::string& sql) {
        auto database = engine::Database::open(file, {});
        if (!database) FAIL(database.error().text());
        auto done = database->connect()->execute(sql);
        if (!done) FAIL(done.error().text());
    }

  private:
    Result<flow::Counts> work(Sink& sink, const flow::TableTarget& target, flow::Scan& scan,
                              const flow::ScanContext& context, const flow::Checkpoint& checkpoint) {
        PN_CHECK(sink.begin({.pipeline = "p", .run_id = fmt::format("20261121t06333{}_9f3a01bc77de", runs++ % 10)}));
        PN_TRY(auto counts, sink.load(target, scan, context));
        counts.rows_rejected = context.rejects.size();
        std::vector<flow::TableCommit> commits = {{target, checkpoint, counts, context.rejects}};
        PN_CHECK(sink.commit(commits));
        return counts;
    }
};

inline std::string counted(const Result<flow::Counts>& counts) {
    if (!counts) return counts.error().text();
    return fmt::format("read {} written {} rejected {} filtered {}", counts->rows_read, counts->rows_written,
                       counts->rows_rejected, counts->rows_filtered);
}

}  // namespace penstock::duckdb::test
