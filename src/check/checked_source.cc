#include "check/checked_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "check/evaluate.h"
#include "check/staged_rows.h"
#include "engine/take.h"

namespace penstock::check {
namespace {

constexpr uint64_t least_memory = uint64_t{64} << 20;
/// More than any question's answer has in a row.
constexpr size_t most_cells = 16;

/// The rows of a part once they are checked. Whoever comes first stages and checks them; all take turns at what is left.
class CheckedScan : public flow::Scan {
  public:
    CheckedScan(std::unique_ptr<flow::Scan> rows, engine::Database& database, const flow::TableInfo& info,
                const std::vector<Expectation>& expectations, const Reference& reference, const std::string& reads,
                flow::ScanContext context, flow::ValidationLog* log)
        : rows_(std::move(rows)),
          database_(database),
          info_(info),
          expectations_(expectations),
          reference_(reference),
          reads_(reads),
          context_(context),
          log_(log) {}

    const data::Schema& schema() const override { return rows_->schema(); }
    unsigned max_readers() const override { return rows_->max_readers(); }
    Result<std::unique_ptr<flow::ScanReader>> reader() override { return std::make_unique<Reader>(*this); }
    Result<flow::Checkpoint> finish() override {
        std::scoped_lock held(mutex_);
        PN_CHECK(stage());
        staged_.reset();
        return rows_->finish();
    }

  private:
    class Reader : public flow::ScanReader {
      public:
        explicit Reader(CheckedScan& scan) : scan_(scan) {}
        ~Reader() override { duckdb_destroy_data_chunk(&chunk_); }
        Status fill(data::Block& block) override {
            duckdb_destroy_data_chunk(&chunk_);
            std::scoped_lock held(scan_.mutex_);
            PN_CHECK(scan_.stage());
            if (scan_.ended_) return {};
            PN_TRY(chunk_, scan_.staged_->next());
            if (chunk_ == nullptr) scan_.ended_ = true;
            else engine::take(chunk_, block);
            return {};
        }

      private:
        CheckedScan& scan_;
        duckdb_data_chunk chunk_ = nullptr;
    };

    Status stage() {
        if (failed_) return fail(*failed_);
        if (done_) return {};
        auto status = stage_and_check();
        if (!status) failed_ = status.error();
        done_ = true;
        return status;
    }

    Status stage_and_check() {
        PN_TRY(staged_, StagedRows::fill(database_, *rows_, info_, context_));
        return staged_->check(expectations_, reference_, reads_, context_, log_);
    }

    std::unique_ptr<flow::Scan> rows_;
    engine::Database& database_;
    const flow::TableInfo& info_;
    const std::vector<Expectation>& expectations_;
    const Reference& reference_;
    const std::string& reads_;
    flow::ScanContext context_;
    flow::ValidationLog* log_;
    std::mutex mutex_;
    std::unique_ptr<StagedRows> staged_;
    std::optional<Error> failed_;
    bool done_ = false;
    bool ended_ = false;
};

Error not_for_changes(const Expectation& expectation, const flow::TableInfo& info) {
    return mistake(expectation.place, "check_not_for_changes",
                   fmt::format("{} is captured, and checks are not for changes in this version", info.name),
                   "ask the target's table: `rows: table`, or read the table by `cursor`");
}

Status check_table_names(const std::vector<Expectation>& expectations, const std::vector<flow::TableInfo>& infos) {
    for (const auto& expectation : expectations)
        for (const auto& name : expectation.tables) {
            if (std::ranges::find(infos, name.value, &flow::TableInfo::name) != infos.end()) continue;
            std::vector<std::string> known;
            for (const auto& info : infos) known.push_back(info.name);
            return fail(mistake(name.place, "check_table_missing",
                                fmt::format("the source has no table '{}', which a check is for", name.value),
                                fmt::format("its tables: {}", fmt::join(known, ", "))));
        }
    return {};
}

}  // namespace

Error checks_failed(const std::string& table, const std::vector<std::string>& failed, const std::string& place,
                    std::string_view published) {
    return {.kind = ErrorKind::check_failed,
            .code = "check_failed",
            .message = fmt::format("{} of {} failed: {}",
                                   failed.size() == 1 ? "a check" : fmt::format("{} checks", failed.size()), table,
                                   fmt::join(failed, "; ")),
            .where = place,
            .hint = fmt::format("{}; mend the rows at the source, or let the check `on_fail: reject` or `warn`",
                                published)};
}

std::vector<Expectation> expectations_of(const std::vector<Expectation>& all, const std::string& table,
                                         CheckedRows rows) {
    std::vector<Expectation> some;
    for (const auto& one : all) {
        bool named = one.tables.empty() ||
                     std::ranges::any_of(one.tables, [&](const auto& name) { return name.value == table; });
        if (named && one.rows == rows) some.push_back(one);
    }
    return some;
}

Result<std::vector<flow::TableInfo>> CheckedSource::discover(std::stop_token stop) {
    PN_TRY(auto infos, inner_->discover(stop));
    PN_CHECK(check_table_names(expectations_, infos));
    tables_.clear();
    settings_.memory_limit_bytes = std::max(settings_.memory_limit_bytes, least_memory);
    database_.reset();
    PN_TRY(scratch_, ScratchFolder::make());
    settings_.temp_directory = scratch_->path() / "engine";
    PN_TRY(database_, engine::Database::in_memory(settings_));
    for (const auto& info : infos) {
        Table table{.info = info, .expectations = {}};
        if (!info.rejects_only) table.expectations = expectations_of(expectations_, info.name, CheckedRows::batch);
        if (info.changes && !table.expectations.empty()) return fail(not_for_changes(table.expectations.front(), info));
        tables_.push_back(std::move(table));
    }
    // A question that cannot be asked shows on no rows too, before any is read.
    for (const auto& table : tables_) {
        if (table.expectations.empty()) continue;
        PN_TRY(auto none, StagedRows::none(*database_, table.info));
        PN_CHECK(none->try_out(table.expectations));
    }
    return infos;
}

Status CheckedSource::open(std::vector<flow::TableRead> tables) {
    for (const auto& read : tables) {
        contexts_.emplace(read.table, read.context);
        bool increment = read.from && !read.whole && !read.anew;
        tables_[read.table].reads = narrowed_ ? "narrowed" : increment ? "increment" : "everything";
    }
    return inner_->open(std::move(tables));
}

Result<std::optional<flow::Segment>> CheckedSource::next() {
    PN_TRY(auto segment, inner_->next());
    if (!segment) return segment;
    for (auto& part : segment->parts) {
        const auto& table = tables_[part.table];
        if (table.expectations.empty()) continue;
        part.scan = std::make_unique<CheckedScan>(std::move(part.scan), *database_, table.info, table.expectations,
                                                  reference_, table.reads, contexts_.at(part.table), log_.get());
    }
    return segment;
}

Status check_whole_table(const std::vector<Expectation>& expectations, const Reference& reference,
                         const flow::AskedTable& table, flow::ValidationLog& log, bool published) {
    const auto& source = reference.table;
    std::vector<std::string> failed;
    std::string first;
    for (const auto& expectation : expectations) {
        PN_TRY(auto validation, evaluate(expectation, table, reference));
        if (!validation.success) {
            auto words = in_words(validation);
            if (expectation.on_fail == OnFail::warn) log::warning("check of {}: {}", source, words);
            else failed.push_back(words);
            if (first.empty() && !failed.empty()) first = expectation.place.text();
        }
        validation.table = source;
        log.add(std::move(validation));
    }
    if (failed.empty()) return {};
    return fail(
        checks_failed(source, failed, first, published ? "the rows are in the target" : "nothing was published"));
}

Result<std::optional<flow::Charge>> price_of(const std::vector<Expectation>& expectations,
                                             const flow::AskedTable& table) {
    if (!table.price || expectations.empty()) return std::optional<flow::Charge>();
    flow::Charge sum;
    auto priced = table;
    priced.ask = [&](const std::string& sql) -> Result<flow::TextRows> {
        PN_TRY(auto charge, table.price(sql));
        sum += charge;
        return flow::TextRows{flow::TextRows::value_type(most_cells)};
    };
    for (const auto& expectation : expectations) {
        PN_TRY([[maybe_unused]] auto asked, evaluate(expectation, priced, {}));
    }
    return std::optional(sum);
}

}  // namespace penstock::check
