#include "app/verifying.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "app/catching_up.h"
#include "app/compared_columns.h"
#include "base/log.h"
#include "config/suggest.h"

namespace penstock::app {
namespace {

/// Looks at rows of a stream that are changed while they are compared.
constexpr int most_looks = 4;
/// Comparisons of a table that a run commits to meanwhile.
constexpr int most_attempts = 3;

using Batches = std::vector<flow::BatchRecord>;

/// One pipeline's comparison: its two sides, open.
class Verifying {
  public:
    Verifying(const config::Document& document, Pipeline& pipeline, const VerifyRequest& request, std::stop_token stop)
        : document_(document), pipeline_(pipeline), request_(request), stop_(std::move(stop)) {}

    Result<std::vector<VerifiedTable>> run() {
        PN_TRY(source_, pipeline_.compare_source(stop_));
        PN_TRY(auto infos, source_->tables(stop_));
        PN_CHECK(choose(infos));
        PN_CHECK(look());
        std::vector<VerifiedTable> tables;
        for (const auto& info : infos) {
            PN_TRY(auto table, compare(info));
            for (int attempt = 1; !pipeline_.is_stream(); ++attempt) {
                PN_TRY(bool same, unmoved(table));
                if (same) break;
                if (attempt == most_attempts) {
                    give_up(table);
                    break;
                }
                log::info("{}: a run has committed meanwhile; it is compared once more", info.name);
                PN_CHECK(look());
                PN_TRY(table, compare(info));
            }
            PN_CHECK(settle(table));
            PN_CHECK(tell_extra(table));
            tables.push_back(std::move(table));
        }
        return tables;
    }

  private:
    Status choose(std::vector<flow::TableInfo>& infos) const {
        std::vector<std::string> known;
        for (const auto& info : infos) known.push_back(info.name);
        auto is = [](const std::string& name, const std::string& wanted) {
            return name == wanted || name.ends_with("." + wanted);
        };
        for (const auto& wanted : request_.tables)
            if (std::ranges::none_of(known, [&](const auto& name) { return is(name, wanted); }))
                return fail({.kind = ErrorKind::usage,
                             .code = "unknown_table",
                             .message = fmt::format("{} reads no table '{}'{}", pipeline_.name(), wanted,
                                                    config::did_you_mean(wanted, known)),
                             .hint = fmt::format("it reads {}", fmt::join(known, ", "))});
        if (!request_.tables.empty())
            std::erase_if(infos, [&](const auto& info) {
                return std::ranges::none_of(request_.tables, [&](const auto& wanted) { return is(info.name, wanted); });
            });
        return {};
    }

    /// Both sides as of one moment: the source's is fixed first, then the target gets there.
    Status look() {
        target_.reset();
        ledger_.reset();
        PN_CHECK(source_->look());
        if (pipeline_.is_stream() && !request_.as_it_stands)
            PN_CHECK(catch_up(document_, pipeline_, source_->moment(), stop_));
        PN_TRY(target_, pipeline_.compare_target(stop_));
        PN_TRY(ledger_, pipeline_.open_ledger());
        return {};
    }

    /// What differs may be what runs have committed meanwhile.
    static void give_up(VerifiedTable& table) {
        table.undecided += table.outcome.total();
        table.outcome.counts.clear();
        table.outcome.differences.clear();
    }

    Result<std::optional<flow::BatchRecord>> batch_of(const flow::TableTarget& target) {
        std::optional<flow::BatchRecord> found;
        if (ledger_ == nullptr) return found;
        PN_TRY(auto batches, ledger_->checkpoints(pipeline_.name()));
        for (auto& batch : batches)
            if (batch.source == target.info.name && batch.target == target.name) found = std::move(batch);
        return found;
    }

    Result<bool> unmoved(const VerifiedTable& table) {
        PN_TRY(auto batch, batch_of(table.target));
        return batch.has_value() == table.batch.has_value() &&
               (!batch || (batch->batch == table.batch->batch && batch->run_id == table.batch->run_id));
    }

    /// The two sides of a table as of the last look.
    struct Sides {
        flow::ComparedTable source, target;
        std::vector<std::pair<std::string, std::string>> left_out;
    };

    Result<std::optional<Sides>> sides(const VerifiedTable& table) {
        PN_TRY(auto there, target_->table(table.target.name));
        if (!there) return std::optional<Sides>();
        PN_TRY(auto columns, compared_columns(pipeline_, table.target, *there));
        Sides out;
        out.left_out = std::move(columns.left_out);
        out.target = std::move(*there);
        const auto& sql = verify::dialect_named(out.target.dialect);
        std::string current = current_rows(table.target, [&](std::string_view name) { return sql.identifier(name); });
        if (out.target.where.empty()) out.target.where = current;
        else if (!current.empty()) out.target.where = fmt::format("({}) AND ({})", out.target.where, current);
        out.target.columns = std::move(columns.target);
        std::optional<flow::Checkpoint> last;
        if (table.batch && !pipeline_.is_stream()) last = table.batch->checkpoint;
        PN_TRY(out.source, source_->table(table.target.info, columns.source, last));
        for (const auto& column : out.source.columns) {
            if (column.not_compared.empty()) continue;
            if (std::ranges::find(table.target.key, column.name) != table.target.key.end())
                return fail(key_not_compared(table.target, column.name, column.not_compared));
            out.left_out.emplace_back(column.name, column.not_compared);
        }
        return std::optional(std::move(out));
    }

    verify::Request request_for(const VerifiedTable& table) const {
        verify::Request out{.key = table.target.key,
                            .fraction = request_.fraction,
                            .part = request_.part,
                            .most_told = request_.most_told};
        if (out.key.empty() && table.target.info.key_is_unique) out.key = table.target.info.key;
        bool log = table.target.mode == flow::Mode::append && !table.target.info.cursor.empty();
        out.earlier_versions = log;
        return out;
    }

    Result<VerifiedTable> compare(const flow::TableInfo& info) {
        VerifiedTable table;
        PN_TRY(table.target, pipeline_.target_for(info));
        PN_TRY(table.batch, batch_of(table.target));
        table.moment = source_->moment();
        PN_TRY(auto both, sides(table));
        table.there = both.has_value();
        if (!both) return table;
        auto request = request_for(table);
        if (request_.sample_rows > 0) {
            PN_TRY(auto rows, both->target.ask("SELECT count(*) FROM " + both->target.from));
            double all = std::stod(rows[0][0].value_or("0"));
            request.fraction = all > 0 ? std::min(1.0, static_cast<double>(request_.sample_rows) / all) : 1;
        }
        table.target.key = request.key;
        for (const auto& name : request.key)
            for (size_t i = 0; i < both->source.columns.size(); ++i)
                if (both->source.columns[i].name == name) table.key_types.push_back(both->target.columns[i].type);
        table.not_compared = both->left_out;
        table.gives_up_rows = both->target.gives_up_rows;
        table.source_bytes = both->source.bytes;
        table.target_bytes = both->target.bytes;
        PN_TRY(request.set_aside, rejected_keys(table));
        PN_TRY(table.outcome, verify::Comparison(both->source, both->target, request).run());
        table.rejected = table.outcome.set_aside;
        return table;
    }

    /// Of a stream. A row that is the same in the source at two looks, and that the target, which had all changes up to the first
    /// of them by the second, has otherwise, differs. One that was changed in between is looked at again.
    Status settle(VerifiedTable& table) {
        if (!pipeline_.is_stream() || request_.as_it_stands || !table.there) return {};
        auto open = table.outcome.differences;
        auto beyond = table.outcome.total() - static_cast<int64_t>(open.size());
        std::vector<verify::Difference> proven;
        std::vector<verify::Difference> moving = std::move(open);
        while (!moving.empty() && table.looks < most_looks) {
            PN_CHECK(look());
            ++table.looks;
            table.moment = source_->moment();
            PN_TRY(auto both, sides(table));
            if (!both) return {};
            PN_TRY(auto now, verify::Comparison(both->source, both->target, request_for(table)).again(moving));
            std::vector<verify::Difference> still;
            for (auto& one : now.differences) {
                auto before = std::ranges::find(moving, one.framed, &verify::Difference::framed);
                bool stood = before != moving.end() && before->source == one.source;
                (stood ? proven : still).push_back(std::move(one));
            }
            moving = std::move(still);
        }
        table.undecided = static_cast<int64_t>(moving.size());
        table.outcome.counts.clear();
        for (const auto& one : proven) ++table.outcome.counts[one.kind];
        // Those that are too many to be known one by one are counted as they were; where none of the others stood, nobody knows.
        if (beyond > 0 && proven.empty()) table.undecided += beyond;
        if (beyond > 0 && !proven.empty()) {
            table.outcome.counts[proven.front().kind] += beyond;
            table.outcome.counted_all = false;
        }
        table.outcome.differences = std::move(proven);
        return {};
    }

    /// The key of a reject as the engines frame it (flow/comparison.h); nothing where it does not hold all of it.
    static std::optional<std::string> framed_key(const flow::Reject& reject, const VerifiedTable& table) {
        auto row = nlohmann::json::parse(reject.key, nullptr, false);
        std::string out;
        for (size_t i = 0; i < table.target.key.size(); ++i) {
            const auto& column = table.target.key[i];
            if (!row.is_object() || !row.contains(column)) return std::nullopt;
            const auto& value = row[column];
            std::string text = value.is_string() ? value.get<std::string>() : value.dump();
            bool framed = table.key_types.at(i).kind == data::Kind::text;
            out += value.is_null() ? "n" : framed ? fmt::format("{}:{}", text.size(), text) : text;
            out += '\x1f';
        }
        return out;
    }

    /// Rows that could not be written are known already, with their reason: they are told apart from differences.
    Result<std::set<std::string>> rejected_keys(const VerifiedTable& table) {
        std::set<std::string> keys;
        if (table.target.key.empty() || ledger_ == nullptr) return keys;
        PN_TRY(auto records,
               ledger_->rejects(
                   {.pipeline = pipeline_.name(), .table = table.target.info.name, .open_only = true, .whole = false}));
        for (const auto& record : records)
            if (auto known = framed_key(record.reject, table)) keys.insert(std::move(*known));
        return keys;
    }

    Status tell_extra(VerifiedTable& table) {
        if (!table.there || table.outcome.differences.empty()) return {};
        PN_TRY(auto both, sides(table));
        if (both)
            table.extra_rows = verify::Comparison(both->source, both->target, request_for(table))
                                   .extra_rows(table.outcome.differences);
        return {};
    }

    const config::Document& document_;
    Pipeline& pipeline_;
    const VerifyRequest& request_;
    std::stop_token stop_;
    std::unique_ptr<flow::ComparedSource> source_;
    std::unique_ptr<flow::ComparedTarget> target_;
    std::unique_ptr<flow::Ledger> ledger_;
};

}  // namespace

Result<std::vector<VerifiedTable>> verify_pipeline(const config::Document& document, Pipeline& pipeline,
                                                   const VerifyRequest& request, std::stop_token stop) {
    if (pipeline.config().unusable) return fail(*pipeline.config().unusable);
    return Verifying(document, pipeline, request, std::move(stop)).run();
}

}  // namespace penstock::app
