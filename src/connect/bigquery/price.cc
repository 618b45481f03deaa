#include "connect/bigquery/price.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/humane.h"
#include "connect/bigquery/change_sql.h"
#include "connect/bigquery/own_columns.h"

namespace penstock::bigquery {
namespace {

constexpr int64_t least_billed = int64_t{10} << 20;  // for each table that a query refers to

/// A part of changes as most are: rows to write and to take away.
ChangeSet usual_changes(const StagedLoad& load) {
    auto own = own_columns(load.target);
    bool marks = std::ranges::any_of(own, [](const auto& column) { return column.name == flow::change::deleted; });
    return {.snapshot = load.into_empty || rebuilds(load.target),
            .keyed = !load.target.info.key.empty(),
            .marks = marks,
            .synced = "CURRENT_TIMESTAMP()",
            .whole_moment = "CURRENT_TIMESTAMP()"};
}

/// A staging table as it will be, without rows: it can stand where its name would.
std::string no_rows(const StagedLoad& load, bool resolved) {
    std::string list;
    auto add = [&](const std::string& name, const std::string& type) {
        list += fmt::format("{}CAST(NULL AS {}) AS `{}`", list.empty() ? "" : ", ", type, name);
    };
    for (const auto& column : load.shape.columns) {
        if (resolved) add(column.column.name, sql_type(column.column));
        else add(column.source, sql_type(staged(column.incoming)));
    }
    if (resolved && load.target.mode == flow::Mode::history) {
        add(valid_from, "TIMESTAMP");
        add(valid_to, "TIMESTAMP");
    }
    if (load.target.info.changes)
        for (const auto& column : change_columns(load, usual_changes(load))) add(column.name, column.type);
    return fmt::format("(SELECT {} FROM UNNEST([1]) WHERE FALSE)", list);
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

constexpr double gibibyte = static_cast<double>(int64_t{1} << 30), tebibyte = 1024 * gibibyte;

flow::Charge charge_of(const StagedLoad& load, int64_t bytes, const ConnectionOptions& options,
                       std::optional<double> usd_per_gib_written) {
    flow::Charge charge{.bytes_billed = bytes, .usd = static_cast<double>(bytes) / tebibyte * options.usd_per_tib};
    auto staged = static_cast<double>(std::max(load.target.info.estimated_bytes, int64_t{0}));
    charge.usd += staged / gibibyte * usd_per_gib_written.value_or(0);
    return charge;
}

std::string price_line(const StagedLoad& load, int64_t bytes, const ConnectionOptions& options,
                       std::optional<double> usd_per_gib_written) {
    std::string carried = "load jobs are free";
    if (usd_per_gib_written) {
        auto staged = static_cast<uint64_t>(std::max(load.target.info.estimated_bytes, int64_t{0}));
        carried = fmt::format("Storage Write of about {}: {:.4f} USD at {} USD a GiB", humane_bytes(staged),
                              static_cast<double>(staged) / gibibyte * *usd_per_gib_written, *usd_per_gib_written);
    }
    return fmt::format("-- bills about {} for {}: {:.4f} USD at {} USD a TiB; {}",
                       humane_bytes(static_cast<uint64_t>(bytes)), load.into.dotted(),
                       static_cast<double>(bytes) / tebibyte * options.usd_per_tib, options.usd_per_tib, carried);
}

}  // namespace

Result<PlannedLoad> planned_load(Jobs& jobs, const StagedLoad& load, const ConnectionOptions& options, int64_t beside,
                                 std::optional<double> usd_per_gib_written) {
    std::vector<std::string> statements;
    if (load.target.info.changes) {
        statements = apply_changes_sql(load, usual_changes(load));
        if (load.target.whole && !rebuilds(load.target)) {
            statements.push_back("-- what it bills is known once the rows are compared");
            return PlannedLoad{std::move(statements)};
        }
    } else {
        PN_TRY(auto resolving, resolve_sql(load));
        if (resolving) statements.push_back(*resolving);
        PN_TRY(auto publishing, publish_sql(load, resolving.has_value()));
        statements.insert(statements.end(), publishing.begin(), publishing.end());
    }
    // Staged rows are read once by each statement; their own bytes are the source's, as far as it knows.
    bool changes =
        std::ranges::any_of(load.shape.decisions, [](const auto& decision) { return !decision.sql.empty(); });
    if (!load.into_empty && changes) {
        statements.push_back("-- what it bills is known once the columns are changed");
        return PlannedLoad{std::move(statements)};
    }
    int64_t bytes = beside, staged_bytes = std::max(load.target.info.estimated_bytes, int64_t{0});
    for (const auto& statement : statements) {
        bool reads_staged = statement.find(load.staging.quoted()) != statement.npos ||
                            statement.find(load.ready.quoted()) != statement.npos;
        bytes += reads_staged ? std::max(staged_bytes, least_billed) : 0;
        bool makes = statement.starts_with("CREATE OR REPLACE TABLE");
        if (load.into_empty || statement.starts_with("TRUNCATE")) continue;  // nothing is there that could be read
        std::string dry = makes ? statement.substr(statement.find(" AS ") + 4) : statement;
        replace_all(dry, load.ready.quoted(), no_rows(load, true));
        replace_all(dry, load.staging.quoted(), no_rows(load, false));
        PN_TRY(int64_t read, jobs.estimate({.sql = dry, .what = "price the load of " + load.into.dotted()}));
        bytes += read;
    }
    statements.push_back(price_line(load, bytes, options, usd_per_gib_written));
    return PlannedLoad{std::move(statements), charge_of(load, bytes, options, usd_per_gib_written)};
}

}  // namespace penstock::bigquery
