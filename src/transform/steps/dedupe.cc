#include "transform/steps/dedupe.h"

#include "data/copy_rows.h"
#include "transform/steps/step_sql.h"

namespace penstock::steps {

class Dedupe::Reader : public flow::ScanReader {
  public:
    Reader(Dedupe& owner, std::unique_ptr<flow::ScanReader> rows, flow::Progress& progress)
        : owner_(owner), rows_(std::move(rows)), progress_(progress) {}

    Status fill(data::Block& block) override {
        while (true) {
            PN_CHECK(rows_->fill(block));
            if (block.rows == 0) return {};
            kept_.clear();
            auto now = SeenKeys::Clock::now();
            for (size_t row = 0; row < block.rows; ++row) {
                PN_TRY(bool first, owner_.seen_.is_new(digest_of(block, owner_.key_, row, scratch_), now));
                if (first) kept_.push_back(row);
            }
            progress_.rows_filtered += static_cast<int64_t>(block.rows - kept_.size());
            if (kept_.size() != block.rows) data::keep_rows(block, kept_);
            if (block.rows != 0) return {};
            block.clear();
        }
    }

  private:
    Dedupe& owner_;
    std::unique_ptr<flow::ScanReader> rows_;
    flow::Progress& progress_;
    std::vector<size_t> kept_;
    std::string scratch_;
};

class Dedupe::Scan : public flow::Scan {
  public:
    Scan(Dedupe& owner, std::unique_ptr<flow::Scan> rows, flow::Progress& progress)
        : owner_(owner), rows_(std::move(rows)), progress_(progress) {}

    const data::Schema& schema() const override { return owner_.info_.schema; }
    unsigned max_readers() const override { return rows_->max_readers(); }
    Result<std::unique_ptr<flow::ScanReader>> reader() override {
        PN_TRY(auto rows, rows_->reader());
        return std::make_unique<Reader>(owner_, std::move(rows), progress_);
    }
    Result<flow::Checkpoint> finish() override { return rows_->finish(); }

  private:
    Dedupe& owner_;
    std::unique_ptr<flow::Scan> rows_;
    flow::Progress& progress_;
};

Result<std::unique_ptr<Stage>> Dedupe::plan(const config::Located<config::Step>& step, const flow::TableInfo& info) {
    std::unique_ptr<Dedupe> made(new Dedupe(*step.value.dedupe, info));
    for (const auto& name : step.value.dedupe->key) {
        PN_TRY(size_t at, column_at(info, name.value, name.place));
        made->key_.push_back(at);
    }
    return made;
}

std::unique_ptr<flow::Scan> Dedupe::wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) {
    return std::make_unique<Scan>(*this, std::move(rows), context.progress);
}

}  // namespace penstock::steps
