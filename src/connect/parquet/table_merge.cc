// Merge by key. The whole table is written anew: what is published without the rows that change, and these. It costs reading
// and writing the table, which is what a table of plain files asks for an update; a load that changes nothing costs neither.
#include <fmt/format.h>

#include <algorithm>

#include "connect/parquet/row_sql.h"
#include "connect/parquet/table_load.h"
#include "engine/sql.h"

namespace penstock::parquet {

using engine::quote_identifier;
using engine::quote_list;

/// An expression of the user's that DuckDB cannot make sense of is a mistake in the configuration.
Error TableLoad::blame_update_when(Error error) const {
    if (target_.update_when.empty() || error.code != "duckdb_refused") return error;
    return {.kind = ErrorKind::configuration,
            .code = "update_when_refused",
            .message = fmt::format("update_when of {} cannot be evaluated: {}", target_.name, error.message),
            .hint =
                "it is a condition over T (the row in the target) and S (the row that was read), such as S.amount > "
                "T.amount"};
}

std::vector<engine::ComparedColumn> TableLoad::compared() const {
    std::vector<engine::ComparedColumn> out;
    for (const auto& column : shape_.columns)
        if (column.source >= 0) out.push_back({.name = column.field.name, .type = column.field.type});
    return out;
}

/// A key that is not the source's primary key may be several rows' of the source, and a load may bring one of them alone (a
/// replay, a row found late). Where another is published that is newer by cursor, it stays, as it would if both had come at
/// once. A row that is the same row of the source is its present truth, whatever its cursor says; but a rejected row without
/// primary key is replayed as it was when it was rejected: it replaces only what is older.
std::string TableLoad::outdated() const {
    std::string at = cursor_.empty() ? "" : quote_identifier(cursor_);
    if (target_.info.key.empty()) {
        if (target_.replays.empty()) return "false";
        return at.empty() ? "true" : fmt::format("((S.{0} > T.{0}) IS NOT TRUE)", at);
    }
    std::vector<std::string> primary;
    for (const auto& column : target_.info.key) {
        primary.push_back(name_in_shape(column));
        if (primary.back().empty()) return "false";
    }
    bool same = std::ranges::all_of(primary, [&](const auto& name) { return std::ranges::count(key_, name) != 0; });
    if (!target_.info.key_is_unique || at.empty() || same) return "false";
    return fmt::format("(NOT ({0}) AND T.{1} IS NOT NULL AND (S.{1} IS NULL OR S.{1} < T.{1}))",
                       same_on(primary, "S", "T"), at);
}

/// Rows that change the table: new keys, and rows that differ from the published one and pass `update_when`. Columns that the source no longer has keep the published value.
Status TableLoad::choose_winners(const std::string& published) {
    if (published.empty()) {
        PN_CHECK(connection_.execute(fmt::format("CREATE TEMP VIEW _penstock_winners AS {}", picked_)));
        return {};
    }
    std::string columns;
    for (const auto& column : shape_.columns)
        columns += fmt::format("{}{}.{}", columns.empty() ? "" : ", ", column.source < 0 ? "T" : "S",
                               quote_identifier(column.field.name));
    auto made = connection_.execute(
        fmt::format("CREATE TEMP TABLE _penstock_winners AS SELECT {} FROM ({}) S LEFT JOIN "
                    "(SELECT *, true AS _penstock_found FROM ({})) T ON {} "
                    "WHERE T._penstock_found IS NULL OR (NOT ({}) AND NOT {} AND ({}))",
                    columns, picked_, published, join_on(key_, "S", "T"), engine::same_values(compared(), "S", "T"),
                    outdated(), target_.update_when.empty() ? "true" : target_.update_when));
    if (!made) return fail(blame_update_when(std::move(made.error())));
    return check_keys_once("SELECT * FROM _penstock_winners");
}

Status TableLoad::merge_by_key() {
    PN_CHECK(pick_unique(key_));
    PN_TRY(std::string published, select_all_published());
    PN_CHECK(choose_winners(published));
    PN_TRY(auto winners, connection_.query("SELECT count(*) FROM _penstock_winners"));
    counts_.rows_written = winners.number(0, 0);
    counts_.rows_filtered = counts_.rows_read - counts_.rows_rejected - counts_.rows_written;
    if (counts_.rows_written == 0 && nothing_to_rewrite()) {
        unchanged_ = true;
        return {};
    }
    if (published.empty()) return write_final("SELECT * FROM _penstock_winners");
    return write_final(fmt::format(
        "SELECT * FROM ({}) T ANTI JOIN _penstock_winners W ON {} UNION ALL SELECT * FROM _penstock_winners", published,
        join_on(key_, "T", "W")));
}

}  // namespace penstock::parquet
