#include "transform/steps/stepped_scan.h"

#include <fmt/format.h>

#include "base/clock.h"

namespace penstock::steps {
namespace {

using Range = engine::BatchSession::Range;

Error multiplied(const flow::TableInfo& info, int64_t rows, int64_t given) {
    return {.kind = ErrorKind::data,
            .code = "step_multiplies_rows",
            .message = fmt::format("the steps of {} made {} rows of {}, and each row must be accounted for", info.name,
                                   given, rows),
            .where = "table " + info.name,
            .hint = "leave out unnest() and joins with several matches, or do that by a query at the source"};
}

constexpr const char* not_shown = "why is not said, as columns of the table are masked";

Error not_of_one_row(const QueryStage& steps, const Error& error) {
    const auto& name = steps.before().name;
    return {.kind = error.kind,
            .code = "step_failed",
            .message = fmt::format("the steps of {} failed for rows together, none of which is at fault alone: {}",
                                   name, steps.concealed().empty() ? error.message : not_shown),
            .where = "table " + name,
            .hint = "mend the query under `steps`; it sees up to 2,048 rows at once"};
}

}  // namespace

class SteppedScan::Reader : public flow::ScanReader {
  public:
    Reader(SteppedScan& scan, std::unique_ptr<flow::ScanReader> rows, std::unique_ptr<engine::BatchSession> session)
        : scan_(scan),
          steps_(scan.steps_),
          rows_(std::move(rows)),
          session_(std::move(session)),
          block_(scan.rows_->schema()) {}

    Status fill(data::Block& out) override {
        while (true) {
            result_.next(out);
            if (out.rows != 0 || ended_) return {};
            // The result may still refer to what the next block replaces.
            result_ = {};
            block_.clear();
            PN_CHECK(rows_->fill(block_));
            ended_ = block_.rows == 0;
            if (!ended_) PN_CHECK(run_block());
        }
    }

  private:
    Status run_block() {
        Range all[] = {{0, block_.rows}};
        auto result = session_->run(steps_.query(), block_, all);
        auto left = static_cast<int64_t>(block_.rows);
        if (!result) {
            if (result.error().kind != ErrorKind::data) return fail(in_table(std::move(result.error())));
            std::vector<Range> good;
            PN_CHECK(sort_out(all[0], std::move(result.error()), good));
            left = 0;
            for (const auto& range : good) left += static_cast<int64_t>(range.rows);
            result = good.empty() ? engine::BatchResult() : session_->run(steps_.query(), block_, good);
            if (!result) return fail(not_of_one_row(steps_, result.error()));
        }
        if (result->rows() > left) return fail(multiplied(steps_.before(), left, result->rows()));
        scan_.context_.progress.rows_filtered += left - result->rows();
        result_ = std::move(*result);
        return {};
    }

    /// Rejects each row of the range that fails alone; the others are added to `good`. `error` is what was said of the range.
    Status sort_out(Range range, Error error, std::vector<Range>& good) {
        if (range.rows == 1) return reject(range.first, error);
        for (Range half :
             {Range{range.first, range.rows / 2}, Range{range.first + range.rows / 2, range.rows - range.rows / 2}}) {
            auto tried = session_->run(steps_.query(), block_, {&half, 1});
            if (tried) good.push_back(half);
            else if (tried.error().kind == ErrorKind::data) PN_CHECK(sort_out(half, std::move(tried.error()), good));
            else return fail(in_table(std::move(tried.error())));
        }
        return {};
    }

    Status reject(size_t row, const Error& error) {
        auto fault = steps_.fault(*session_, block_, row, error);
        Range range[] = {{row, 1}};
        PN_TRY(auto payload, session_->run(steps_.payload_query(), block_, range));
        auto [shown, key] = payload.two_texts();
        scan_.context_.progress.rows_rejected += 1;
        return scan_.context_.rejects.add({.table = steps_.before().name,
                                           .source_position = "",
                                           .key = std::move(key),
                                           .column = std::move(fault.column),
                                           .code = "step_failed",
                                           .reason = std::move(fault.reason),
                                           .payload = std::move(shown),
                                           .received_at = now()});
    }

    Error in_table(Error error) const {
        if (!steps_.concealed().empty() && error.kind != ErrorKind::interrupted) error.message = not_shown;
        error.message = fmt::format("the steps of {}: {}", steps_.before().name, error.message);
        return error;
    }

    SteppedScan& scan_;
    const QueryStage& steps_;
    std::unique_ptr<flow::ScanReader> rows_;
    std::unique_ptr<engine::BatchSession> session_;
    data::Block block_;
    engine::BatchResult result_;
    bool ended_ = false;
};

Result<std::unique_ptr<flow::ScanReader>> SteppedScan::reader() {
    PN_TRY(auto rows, rows_->reader());
    PN_TRY(auto session, engine::BatchSession::open(database_, steps_.before().schema, context_.stop));
    return std::make_unique<Reader>(*this, std::move(rows), std::move(session));
}

}  // namespace penstock::steps
