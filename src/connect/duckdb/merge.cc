// Merge by key. Rows are staged, made unique by key, and replace their older selves: delete and insert within the transaction,
// which in DuckDB costs a twentieth of MERGE or UPDATE (100,000 rows into 5 M: 0.6 s against 12 s, because an update rewrites
// the columns of every row group it touches). Where a unique index stands on the target, MERGE is used, because DuckDB checks
// such an index against rows deleted in the same transaction.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "connect/duckdb/load.h"
#include "connect/duckdb/staging.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using engine::quote_list;

/// An expression of the user's that DuckDB cannot make sense of is a mistake in the configuration.
Error blame_update_when(Error error, const Load& load) {
    if (error.code != "duckdb_refused") return error;
    return {.kind = ErrorKind::configuration,
            .code = "update_when_refused",
            .message = fmt::format("update_when of {} cannot be evaluated: {}", load.target.name, error.message),
            .hint =
                "it is a condition over T (the row in the target) and S (the row that was read), such as S.amount > "
                "T.amount"};
}

Status keep_unwanted_updates_out(Load& load, Staging& staging, const std::vector<std::string>& key) {
    if (load.target.update_when.empty()) return {};
    Status filtered =
        staging.filter(fmt::format("DELETE FROM {} AS S USING {} AS T WHERE {} AND NOT coalesce(({}), false)",
                                   staging.table(), load.into.quoted(), join_on(key), load.target.update_when));
    if (!filtered) return fail(blame_update_when(std::move(filtered.error()), load));
    return {};
}

Status replace_rows(Load& load, const Staging& staging, const std::vector<std::string>& key) {
    auto table = load.into.quoted(), columns = quote_list(load.column_names());
    const auto& extra = load.shape.only_in_target;
    const char* kept = "temp.main.penstock_kept";
    if (!extra.empty()) {
        PN_CHECK(load.run(fmt::format(
            "DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS SELECT {1}, {2} FROM {3} T SEMI JOIN {4} S ON {5}",
            kept, quote_list(key), quote_list(extra), table, staging.table(), join_on(key))));
        PN_CHECK(refuse_repeated_keys(
            load, key, fmt::format("SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1", quote_list(key), kept),
            fmt::format("and columns that the source has not ({}): which of their values would stay is not certain",
                        fmt::join(extra, ", "))));
    }
    PN_TRY(int64_t replaced,
           load.run(fmt::format("DELETE FROM {} AS T USING {} AS S WHERE {}", table, staging.table(), join_on(key))));
    if (extra.empty() || replaced == 0) {
        PN_CHECK(load.run(fmt::format("INSERT INTO {} ({}) SELECT {} FROM {}{}", table, columns, columns,
                                      staging.table(), load.order())));
        return {};
    }
    // Columns that only the target has keep their values in replaced rows and take their defaults in new ones.
    PN_CHECK(load.run(fmt::format("INSERT INTO {} ({}, {}) SELECT {}, {} FROM {} S JOIN {} T ON {}", table, columns,
                                  quote_list(extra), quote_list(load.column_names(), "S."), quote_list(extra, "T."),
                                  staging.table(), kept, join_on(key))));
    PN_CHECK(load.run(fmt::format("INSERT INTO {} ({}) SELECT {} FROM {} S ANTI JOIN {} T ON {}; DROP TABLE {}", table,
                                  columns, columns, staging.table(), kept, join_on(key), kept)));
    return {};
}

Status merge_in_place(Load& load, const Staging& staging, const std::vector<std::string>& key) {
    std::string set;
    for (const auto& name : load.column_names())
        if (std::ranges::find(key, name) == key.end())
            set += fmt::format("{}{} = S.{}", set.empty() ? "" : ", ", quote_identifier(name), quote_identifier(name));
    std::string matched = set.empty() ? "" : " WHEN MATCHED THEN UPDATE SET " + set;
    PN_CHECK(
        load.run(fmt::format("MERGE INTO {} AS T USING {} AS S ON ({}){} WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
                             load.into.quoted(), staging.table(), join_on(key), matched,
                             quote_list(load.column_names()), quote_list(load.column_names(), "S."))));
    return {};
}

}  // namespace

Result<flow::Counts> merge(Load& load) {
    PN_TRY(auto key, load.shape.names_of(load.target.key));
    if (load.into_empty && load.key_is_certain()) return insert_all(load);
    PN_TRY(auto staging, Staging::fill(load));
    PN_CHECK(staging.make_keys_unique());
    PN_CHECK(staging.leave_out_outdated());
    PN_CHECK(keep_unwanted_updates_out(load, staging, key));
    if (load.into_unique) {
        PN_CHECK(merge_in_place(load, staging, key));
    } else {
        PN_CHECK(replace_rows(load, staging, key));
    }
    flow::Counts counts{
        .rows_read = load.scan.rows(), .rows_written = staging.rows(), .rows_filtered = staging.filtered()};
    PN_CHECK(staging.drop());
    return counts;
}

}  // namespace penstock::duckdb
