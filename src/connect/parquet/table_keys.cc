// What merge and history share: rows that cannot take part by their key, and the rows that are published.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "connect/parquet/row_sql.h"
#include "connect/parquet/table_load.h"
#include "engine/json_value.h"
#include "engine/sql.h"

namespace penstock::parquet {
namespace {

using engine::quote_identifier;
using engine::quote_list;

}  // namespace

/// Their number is small, or the run ends here by its reject policy.
Status TableLoad::reject_rows(const std::string& from, const std::string& code, const std::string& reason) {
    std::string key, row;
    for (const auto& column : shape_.columns) {
        if (column.source < 0) continue;
        const auto& name = source_.fields[static_cast<size_t>(column.source)].name;
        std::string member = fmt::format("{}, {}", engine::quote_literal(name),
                                         engine::json_value(column.field.type, quote_identifier(column.field.name)));
        row += (row.empty() ? "" : ", ") + member;
        // The source's primary key is named too: by it a replay finds the row as it is then.
        if (std::ranges::count(key_, column.field.name) + std::ranges::count(target_.info.key, name) != 0)
            key += (key.empty() ? "" : ", ") + member;
    }
    PN_TRY(auto rows,
           connection_.query(fmt::format(
               "SELECT CAST(json_object({}) AS VARCHAR), CAST(json_object({}) AS VARCHAR) FROM ({})", key, row, from)));
    for (size_t i = 0; i < rows.rows.size(); ++i)
        PN_CHECK(scan_context_.rejects.add({.table = target_.info.name,
                                            .route = "",
                                            .source_position = "",
                                            .key = rows.text(i, 0),
                                            .column = fmt::format("{}", fmt::join(target_.key, ", ")),
                                            .code = code,
                                            .reason = reason,
                                            .payload = rows.text(i, 1),
                                            .received_at = now()}));
    counts_.rows_rejected += static_cast<int64_t>(rows.rows.size());
    return {};
}

Status TableLoad::reject_null_keys() {
    std::string any_null;
    for (const auto& name : key_)
        any_null += fmt::format("{}{} IS NULL", any_null.empty() ? "" : " OR ", quote_identifier(name));
    PN_CHECK(reject_rows(
        fmt::format("SELECT * FROM _penstock_raw WHERE {}", any_null), "null_key",
        fmt::format("key ({}) has NULL in it, so the row cannot be told from others", fmt::join(target_.key, ", "))));
    picked_ = fmt::format("SELECT * FROM _penstock_raw WHERE NOT ({})", any_null);
    return {};
}

/// Of several rows with the same `unique` values the newest by cursor stays and the others count as filtered; rows that are
/// the same collapse; where the newest differ among themselves they are rejected.
Status TableLoad::pick_unique(const std::vector<std::string>& unique) {
    PN_CHECK(
        connection_.execute(fmt::format("CREATE TEMP VIEW _penstock_raw AS SELECT * EXCLUDE (_penstock_file) FROM {}",
                                        read_sql(raw_folder(), raw_, {}, schema_))));
    picked_ = "SELECT * FROM _penstock_raw";
    if (target_.info.key_is_unique && target_.key == target_.info.key) return {};
    PN_CHECK(reject_null_keys());
    std::string names = quote_list(unique);
    PN_CHECK(connection_.execute(
        fmt::format("CREATE TEMP TABLE _penstock_repeated AS SELECT {0} FROM ({1}) GROUP BY {0} HAVING count(*) > 1",
                    names, picked_)));
    PN_TRY(auto repeated, connection_.query("SELECT count(*) FROM _penstock_repeated"));
    if (repeated.number(0, 0) == 0) return {};
    std::string order = cursor_.empty() ? "" : fmt::format(" ORDER BY {} DESC NULLS LAST", quote_identifier(cursor_));
    PN_CHECK(connection_.execute(fmt::format(
        "CREATE TEMP TABLE _penstock_finalists AS SELECT DISTINCT ON ({}) * EXCLUDE (_penstock_rank) FROM (SELECT "
        "S.*, rank() OVER (PARTITION BY {}{}) "
        "AS _penstock_rank FROM ({}) S SEMI JOIN _penstock_repeated D ON {}) WHERE _penstock_rank = 1",
        engine::value_list(compared()), quote_list(unique, "S."), order, picked_, same_on(unique, "S", "D"))));
    std::string losers =
        fmt::format("JOIN (SELECT {0} FROM _penstock_finalists GROUP BY {0} HAVING count(*) > 1) L ON {1}", names,
                    same_on(unique, "F", "L"));
    PN_CHECK(reject_rows(fmt::format("SELECT F.* FROM _penstock_finalists F SEMI {}", losers), "duplicate_key",
                         fmt::format("several rows have this key ({}), differ, and none of them is the newest",
                                     fmt::join(target_.key, ", "))));
    picked_ = fmt::format(
        "SELECT S.* FROM ({}) S ANTI JOIN _penstock_repeated D ON {} UNION ALL SELECT F.* FROM _penstock_finalists F "
        "ANTI {}",
        picked_, same_on(unique, "S", "D"), losers);
    return {};
}

Status TableLoad::check_keys_once(const std::string& select) {
    std::string shown;
    for (const auto& name : key_)
        shown += fmt::format("{}coalesce(CAST({} AS VARCHAR), 'NULL')", shown.empty() ? "" : " || ', ' || ",
                             quote_identifier(name));
    PN_TRY(auto twice, connection_.query(fmt::format(
                           "SELECT {0} FROM (SELECT {1} FROM ({2}) GROUP BY {1} HAVING count(*) > 1 LIMIT 1)", shown,
                           quote_list(key_), select)));
    if (twice.empty()) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "key_not_unique",
                 .message = fmt::format("the published rows of {} have several with the same key ({}) = ({})",
                                        target_.name, fmt::join(target_.key, ", "), twice.text(0, 0)),
                 .hint = "they were written in another mode or by another key: rebuild the table with --full-refresh"});
}

Result<std::string> TableLoad::select_all_published() {
    if (!newest_ || target_.full_refresh) return std::string();
    PN_TRY(auto live, live_manifests(context_.unit.root(), context_.pipeline, target_.name));
    std::string select;
    for (const auto& manifest : live) {
        if (manifest.files.empty()) continue;
        for (const auto& file : manifest.files)
            if (!is_there(context_.unit.root() / file.path))
                return fail({.kind = ErrorKind::refused,
                             .code = "published_file_vanished",
                             .message = fmt::format("{} holds rows of the table and is gone",
                                                    (context_.unit.root() / file.path).string()),
                             .hint = "restore it, or rebuild the table with --full-refresh"});
        select += (select.empty() ? "" : " UNION ALL ") + select_published(manifest, manifest.files);
    }
    if (select.empty() || newest_->mode == "merge" || newest_->mode == "history") return select;
    PN_CHECK(check_keys_once(select));
    return select;
}

}  // namespace penstock::parquet
