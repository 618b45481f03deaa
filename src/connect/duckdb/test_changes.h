#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connect/duckdb/test_load.h"
#include "flow/change.h"

namespace penstock::duckdb::test {

/// One change, as a part of changes has it. The value "?" was not sent.
struct Change {
    char op = 'c';
    Row values = {};
    uint64_t commit = 0;
    uint64_t ordinal = 0;
    int64_t at = 0;  ///< micros
    int64_t identity = 0;
    Row origin = {};

    Change moved(int64_t number, Row from) && {
        identity = number;
        origin = std::move(from);
        return std::move(*this);
    }
    std::string position() const { return flow::change::position_of(commit, ordinal); }

    Row row(size_t columns, size_t keys) const {
        Row row = values;
        row.resize(columns);
        std::string unchanged(columns, '0');
        for (size_t i = 0; i < columns; ++i) {
            if (row[i] != "?") continue;
            row[i].reset();
            unchanged[i] = '1';
        }
        if (unchanged.find('1') == std::string::npos) unchanged.clear();
        row.push_back(std::string(1, op));
        row.push_back(position());
        row.push_back(fmt::format("{}", at));
        row.push_back(unchanged);
        row.push_back(identity == 0 ? std::nullopt : std::optional(fmt::format("{}", identity)));
        for (size_t i = 0; i < keys; ++i)
            row.push_back(identity == 0 ? std::nullopt : i < origin.size() ? origin[i] : std::nullopt);
        return row;
    }
};

/// Changes in the order of their making, each a transaction of its own that commits at as many micros.
class Log {
  public:
    Change c(Row values) { return make('c', std::move(values)); }
    Change u(Row values) { return make('u', std::move(values)); }
    Change d(Row values) { return make('d', std::move(values)); }
    Change r(Row values) { return make('r', std::move(values)); }
    Change t() { return make('t', {}); }

  private:
    Change make(char op, Row values) {
        ++commit_;
        return {.op = op,
                .values = std::move(values),
                .commit = commit_,
                .ordinal = 1,
                .at = static_cast<int64_t>(commit_)};
    }
    uint64_t commit_ = 0;
};

/// Parts applied by a sink that stays, as a stream's does.
class Stream {
  public:
    Stream(Warehouse& warehouse, flow::TableTarget to) : target(std::move(to)), sink_(warehouse.settings()) {}

    Result<flow::Counts> apply(const std::vector<Change>& changes) {
        std::vector<Row> rows;
        for (const auto& change : changes)
            rows.push_back(change.row(target.info.schema.fields.size(), target.info.key.size()));
        return apply_rows(flow::change::part_schema(target.info), std::move(rows));
    }

    /// Rows of a snapshot only, without the columns that say nothing of them.
    Result<flow::Counts> snapshot(const std::vector<Change>& changes) {
        std::vector<Row> rows;
        size_t columns = target.info.schema.fields.size();
        for (const auto& change : changes) {
            rows.push_back(change.row(columns, 0));
            rows.back().resize(columns + 3);
        }
        return apply_rows(flow::change::snapshot_schema(target.info), std::move(rows));
    }

    flow::TableTarget target;
    std::vector<flow::Reject> rejected;
    std::string error;  ///< of the last part

  private:
    Result<flow::Counts> apply_rows(data::Schema schema, std::vector<Row> rows) {
        RowScan scan(std::move(schema), std::move(rows));
        flow::Progress progress;
        flow::RejectLog rejects({.stop = false});
        auto counts = load(scan, {progress, rejects, {}});
        error = counts ? "" : counts.error().text();
        if (!counts) sink_.abort();
        return counts;
    }

    Result<flow::Counts> load(flow::Scan& scan, const flow::ScanContext& context) {
        if (!std::exchange(planned_, true)) PN_CHECK(sink_.plan({target}, {}));
        PN_CHECK(sink_.begin({.pipeline = "p", .run_id = "20261121t063330_9f3a01bc77de"}));
        PN_TRY(auto counts, sink_.load(target, scan, context));
        counts.rows_rejected = context.rejects.size();
        CHECK(counts.balanced());
        rejected.clear();
        PN_CHECK(context.rejects.for_each([&](const flow::Reject& reject) -> Status {
            rejected.push_back(reject);
            return {};
        }));
        flow::Checkpoint checkpoint;
        std::vector<flow::TableCommit> commits = {{target, checkpoint, counts, context.rejects}};
        PN_CHECK(sink_.commit(commits));
        return counts;
    }

    Sink sink_;
    bool planned_ = false;
};

inline std::string applied(const Result<flow::Counts>& counts) {
    if (!counts) return counts.error().text();
    return fmt::format("written {} deleted {} filtered {} rejected {}", counts->rows_written, counts->rows_deleted,
                       counts->rows_filtered, counts->rows_rejected);
}

}  // namespace penstock::duckdb::test
