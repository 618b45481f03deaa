#include "connect/postgres/comparison.h"

#include <fmt/format.h>

#include <algorithm>

#include "connect/postgres/canonical.h"
#include "connect/postgres/capture/change_plan.h"

namespace penstock::postgres {
namespace {

constexpr int64_t page_bytes = 8192;

class Comparison : public flow::ComparedSource {
  public:
    explicit Comparison(TableSourceOptions options, std::stop_token stop)
        : options_(std::move(options)), stop_(std::move(stop)) {}

    Result<std::vector<flow::TableInfo>> tables(std::stop_token stop) override {
        PN_TRY(session_, Session::connect(options_.connection, options_.purpose, stop));
        if (options_.source.changes) {
            PN_TRY(auto plan, plan_changes(*session_, options_.source, options_.policies, options_.holds));
            for (auto& table : plan.tables) reads_.push_back(std::move(table.read));
        } else {
            PN_TRY(reads_, plan_reads(*session_, options_.source, options_.policies, options_.holds));
        }
        types_ = std::make_unique<TypeCatalog>(*session_);
        std::vector<Oid> used;
        std::vector<flow::TableInfo> infos;
        for (const auto& read : reads_) {
            for (const auto& column : read.columns) used.push_back(column.type);
            infos.push_back(read.info);
        }
        PN_CHECK(types_->load(used));
        return infos;
    }

    /// The surroundings are read before the snapshot, the position after it (increment.h, comparison.h).
    Status look() override {
        if (looked_) PN_CHECK(session_->execute("COMMIT"));
        PN_TRY(around_, read_surroundings(*session_));
        PN_CHECK(session_->execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"));
        looked_ = true;
        PN_CHECK(session_->query("SELECT pg_catalog.pg_current_snapshot()"));
        PN_TRY(auto at, session_->query("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                                        "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() "
                                        "END"));
        moment_ = at.text(0, 0);
        return {};
    }

    std::string moment() const override { return moment_; }

    Result<flow::ComparedTable> table(const flow::TableInfo& info, const std::vector<flow::ComparedColumn>& target,
                                      const std::optional<flow::Checkpoint>& last) override {
        const TableRead& read = *std::ranges::find(
            reads_, info.name, [](const TableRead& one) -> const std::string& { return one.info.name; });
        flow::ComparedTable out{.dialect = "postgres", .from = read.from(nullptr)};
        if (!read.where.empty()) out.where = fmt::format("({}\n)", read.where);
        out.utf8 = session_->parameter("server_encoding") == "UTF8";
        for (const auto& wanted : target) out.columns.push_back(column(read, wanted));
        PN_TRY(out.newer, newer(read, last));
        out.ask = [this](const std::string& sql) { return ask(sql); };
        int64_t pages = 0;
        for (const auto& leaf : read.leaves) pages += leaf.pages;
        if (!read.leaves.empty()) out.bytes = pages * page_bytes;
        return out;
    }

  private:
    flow::ComparedColumn column(const TableRead& read, const flow::ComparedColumn& target) const {
        flow::ComparedColumn out{.name = target.name, .type = target.type};
        auto found = std::ranges::find(read.columns, target.name, [](const ReadColumn& one) { return one.field.name; });
        if (found == read.columns.end()) {
            out.not_compared = "the source has no such column";
            return out;
        }
        if (bends_dates(target.type)) {
            out.not_compared = "special_dates changes values on the way";
            return out;
        }
        out.text = canonical_text({.type = found->type,
                                   .value = quote_identifier(target.name),
                                   .target = target.type,
                                   .nan_is_null = options_.policies.special_numbers == config::SpecialNumbers::null,
                                   .utf8 = session_->parameter("server_encoding") == "UTF8"},
                                  *types_);
        if (out.text.empty())
            out.not_compared = fmt::format("{} in the source is no {} as the target has it", found->field.source_type,
                                           data::to_string(target.type));
        return out;
    }

    bool bends_dates(const data::Type& type) const {
        using data::Kind;
        bool dated = type.kind == Kind::date || type.kind == Kind::timestamp || type.kind == Kind::timestamptz;
        return dated && !options_.holds.infinite_dates &&
               options_.policies.special_dates != config::SpecialDates::reject;
    }

    /// What the next increment would ask for.
    Result<std::string> newer(const TableRead& read, const std::optional<flow::Checkpoint>& last) const {
        if (!last || last->position.empty() || read.cursor < 0) return "";
        PN_TRY(auto reached, Increment::from_json(last->position));
        if (reached.of != sequence_of(read)) return "";
        return increment_condition(increment_request(read), reached, around_);
    }

    Result<flow::TextRows> ask(const std::string& sql) {
        PN_TRY(auto rows, session_->query_patiently(sql, stop_, [] {}));
        flow::TextRows out(static_cast<size_t>(rows.count()));
        int columns = PQnfields(rows.raw());
        for (int row = 0; row < rows.count(); ++row) {
            auto& into = out[static_cast<size_t>(row)];
            for (int i = 0; i < columns; ++i) {
                into.emplace_back();
                if (!rows.is_null(row, i)) into.back() = rows.text(row, i);
            }
        }
        return out;
    }

    TableSourceOptions options_;
    std::stop_token stop_;
    std::unique_ptr<Session> session_;
    std::unique_ptr<TypeCatalog> types_;
    std::vector<TableRead> reads_;
    Surroundings around_;
    std::string moment_;
    bool looked_ = false;
};

}  // namespace

Result<std::unique_ptr<flow::ComparedSource>> compare(TableSourceOptions options, std::stop_token stop) {
    return std::make_unique<Comparison>(std::move(options), std::move(stop));
}

}  // namespace penstock::postgres
