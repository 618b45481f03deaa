#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "connect/parquet/path_template.h"
#include "connect/parquet/sink.h"

namespace penstock::parquet {

/// A row of the tests: id BIGINT, text VARCHAR, at TIMESTAMPTZ, n BIGINT (or what the schema says instead).
struct Row {
    int64_t id = 0;
    std::optional<std::string> text;
    int64_t at = 0;
    int64_t n = 0;
};

inline std::vector<Row> rows(int64_t first, int64_t count) {
    std::vector<Row> out;
    for (int64_t i = first; i < first + count; ++i)
        out.push_back({i, "v" + std::to_string(i % 7), 1'700'000'000'000'000 + i * 1'000'000, i});
    return out;
}

class RowScan final : public flow::Scan {
  public:
    RowScan(data::Schema schema, std::vector<Row> rows, flow::Checkpoint checkpoint)
        : schema_(std::move(schema)), rows_(std::move(rows)), checkpoint_(std::move(checkpoint)) {}

    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 2; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override { return std::make_unique<Reader>(*this); }
    Result<flow::Checkpoint> finish() override { return checkpoint_; }

  private:
    struct Reader final : flow::ScanReader {
        explicit Reader(RowScan& owner) : scan(owner) {}
        Status fill(data::Block& block) override {
            size_t first = scan.next_.fetch_add(data::block_rows);
            for (; block.rows < data::block_rows && first + block.rows < scan.rows_.size(); ++block.rows)
                scan.write(block, block.rows, scan.rows_[first + block.rows]);
            return {};
        }
        RowScan& scan;
    };

    static void write_text(data::Column& column, size_t at, const std::optional<std::string>& text) {
        if (text) column.values<data::StringRef>()[at] = data::StringRef(*text);
        else column.set_null(at);
    }
    void write(data::Block& block, size_t at, const Row& row) const {
        block.columns[0].values<int64_t>()[at] = row.id;
        write_text(block.columns[1], at, row.text);
        block.columns[2].values<int64_t>()[at] = row.at;
        for (size_t i = 3; i < block.columns.size(); ++i) {
            if (block.columns[i].layout() == data::Layout::string) write_text(block.columns[i], at, row.text);
            else block.columns[i].values<int64_t>()[at] = row.n;
        }
    }

    data::Schema schema_;
    std::vector<Row> rows_;
    flow::Checkpoint checkpoint_;
    std::atomic<size_t> next_ = 0;
};

/// A folder that goes with the test, and what runs write to it.
class Lake {
  public:
    Lake() {
        // In memory where there is such a place: the tests flush thousands of times.
        std::string made =
            std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path().string();
        made += "/penstock_lake_XXXXXX";
        root_ = ::mkdtemp(made.data());
    }
    ~Lake() { std::filesystem::remove_all(root_); }
    Lake(const Lake&) = delete;
    Lake& operator=(const Lake&) = delete;

    const Path& root() const { return root_; }
    flow::TableTarget target(const std::string& name, flow::Mode mode = flow::Mode::append) const;
    std::unique_ptr<Sink> sink() const;
    flow::TablePlan plan(flow::TableTarget target);

    Result<flow::Counts> try_run(flow::TableTarget target, std::vector<Row> rows, std::string run_id = "");
    flow::Counts run(flow::TableTarget target, std::vector<Row> rows, std::string run_id = "");
    /// DuckDB's threads do not survive a fork: these keep the parent free of them.
    void run_in_child(const flow::TableTarget& target, const std::vector<Row>& rows);
    std::string count_in_child(const std::string& folder);
    /// What a rerun after a kill does: plans, and loads unless the plan shows that the killed run has arrived.
    void resume(const flow::TableTarget& target, const std::vector<Row>& rows, const std::string& run_id);
    /// Stages and commits as the sink does, and dies before the move number `step`.
    void die_at_move(flow::TableTarget target, const std::vector<Row>& rows, int step);

    std::string files(const std::string& folder) const {
        return "read_parquet('" + (root_ / folder).string() + "/**/*.parquet', union_by_name = true)";
    }
    std::string bookkeeping(const std::string& kind) const { return files("_penstock/" + kind); }
    std::string one(const std::string& sql);
    /// "" when the query fails.
    std::string try_one(const std::string& sql);
    int leftovers() const;

    data::Schema schema = {{{.name = "id", .type = data::scalar(data::Kind::int64)},
                            {.name = "text", .type = data::scalar(data::Kind::text)},
                            {.name = "at", .type = data::scalar(data::Kind::timestamptz)},
                            {.name = "n", .type = data::scalar(data::Kind::int64)}}};
    flow::RejectPolicy policy;
    WriteOptions write;

  private:
    Result<flow::Counts> commit(Sink& sink, const flow::TableTarget& target, const std::vector<Row>& rows,
                                const std::string& run_id);
    Path root_;
    int runs_ = 0;
};

}  // namespace penstock::parquet
