// Type 2 history, by the same rules as in a database target. A version of a key is valid from `_penstock_valid_from` to
// `_penstock_valid_to`, NULL while it is the current one. A row opens a version when it differs from the one before it, be that
// the current version or an older row of the same batch; versions of one key follow one another without gap or overlap.
//
// A version begins at the row's cursor if that is a time, else when the load began. A row that is not newer than the current
// version is either known (the same batch came again) and left out, or, if it is the newest of its batch, the source's present
// truth with a cursor that did not advance: it begins when the load began.
#include <fmt/format.h>

#include "connect/parquet/row_sql.h"
#include "connect/parquet/table_load.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::parquet {

using engine::quote_identifier;
using engine::quote_list;

bool TableLoad::cursor_is_time() const {
    if (cursor_.empty()) return false;
    auto kind = schema_.fields[static_cast<size_t>(schema_.find(cursor_))].type.kind;
    return kind == data::Kind::timestamptz || kind == data::Kind::timestamp || kind == data::Kind::date;
}

/// Orders the rows of each key, sets when each begins, and leaves out those that say nothing new: _penstock_versions.
Status TableLoad::find_versions(const std::string& published) {
    std::string began = fmt::format("TIMESTAMPTZ {}", engine::quote_literal(iso_time(now())));
    std::string at = cursor_is_time()
                         ? fmt::format("coalesce(CAST(S.{} AS TIMESTAMPTZ), {})", quote_identifier(cursor_), began)
                         : began;
    std::string key = quote_list(key_);
    std::string passes = target_.update_when.empty()
                             ? "true"
                             : fmt::format("(T._penstock_valid_from IS NULL OR ({}))", target_.update_when);
    passes = fmt::format("(T._penstock_valid_from IS NULL OR NOT {}) AND {}", outdated(), passes);
    std::string placed = fmt::format(
        "SELECT S.*, {0} AS _penstock_at, row_number() OVER (PARTITION BY {1} ORDER BY {0} DESC) = 1 AS "
        "_penstock_newest, "
        "T._penstock_valid_from AS _penstock_since, T._penstock_valid_from IS NOT NULL AND {2} AS _penstock_same "
        "FROM ({3}) S LEFT JOIN (SELECT * FROM _penstock_published WHERE _penstock_valid_to IS NULL) T ON {4} WHERE "
        "{5}",
        at, quote_list(key_, "S."), engine::same_values(compared(), "S", "T"), picked_, join_on(key_, "S", "T"),
        passes);
    std::string known =
        fmt::format("EXISTS (SELECT 1 FROM _penstock_published K WHERE {} AND K._penstock_valid_from = S._penstock_at)",
                    engine::same_values(compared(), "K", "S"));
    std::string wanted = fmt::format(
        "SELECT S.*, CASE WHEN _penstock_since IS NULL OR _penstock_at > _penstock_since THEN _penstock_at ELSE "
        "greatest({}, _penstock_since + INTERVAL 1 MICROSECOND) END AS _penstock_from FROM ({}) S "
        "WHERE _penstock_since IS NULL OR _penstock_at > _penstock_since OR (_penstock_newest AND NOT {})",
        began, placed, known);
    std::string chained = fmt::format(
        "SELECT *, coalesce(row({0}) = lag(row({0})) OVER (PARTITION BY {1} ORDER BY _penstock_from), "
        "_penstock_same) "
        "AS _penstock_repeats FROM ({2})",
        engine::value_list(compared()), key, wanted);
    PN_CHECK(connection_.execute(fmt::format("CREATE TEMP VIEW _penstock_published AS {}", published)));
    PN_CHECK(check_keys_once(fmt::format(
        "SELECT T.* FROM (SELECT * FROM _penstock_published WHERE _penstock_valid_to IS NULL) T SEMI JOIN ({}) S ON {}",
        picked_, join_on(key_, "T", "S"))));
    auto made =
        connection_.execute(fmt::format("CREATE TEMP TABLE _penstock_versions AS SELECT * EXCLUDE (_penstock_at, "
                                        "_penstock_newest, _penstock_since, _penstock_same, "
                                        "_penstock_repeats, _penstock_from), _penstock_from AS _penstock_valid_from, "
                                        "lead(_penstock_from) OVER (PARTITION BY {} ORDER BY "
                                        "_penstock_from) AS _penstock_valid_to FROM ({}) WHERE NOT _penstock_repeats",
                                        key, chained));
    if (!made) return fail(blame_update_when(std::move(made.error())));
    return {};
}

Status TableLoad::keep_history() {
    auto unique = key_;
    if (cursor_is_time()) unique.push_back(cursor_);
    PN_CHECK(pick_unique(unique));
    PN_TRY(std::string published, select_all_published());
    if (published.empty()) {
        std::string none;
        for (const auto& field : with_validity(schema_).fields)
            none += fmt::format("{}CAST(NULL AS {}) AS {}", none.empty() ? "" : ", ", engine::sql_type(field.type),
                                quote_identifier(field.name));
        published = fmt::format("SELECT {} WHERE false", none);
    }
    PN_CHECK(find_versions(published));
    PN_TRY(auto versions, connection_.query("SELECT count(*) FROM _penstock_versions"));
    counts_.rows_written = versions.number(0, 0);
    counts_.rows_filtered = counts_.rows_read - counts_.rows_rejected - counts_.rows_written;
    if (counts_.rows_written == 0 && nothing_to_rewrite()) {
        unchanged_ = true;
        return {};
    }
    std::string key = quote_list(key_);
    return write_final(
        fmt::format("SELECT T.* REPLACE (coalesce(T._penstock_valid_to, W._penstock_first) AS _penstock_valid_to) FROM "
                    "_penstock_published T LEFT JOIN "
                    "(SELECT {0}, min(_penstock_valid_from) AS _penstock_first FROM _penstock_versions GROUP BY {0}) W "
                    "ON {1} AND T._penstock_valid_to IS NULL UNION ALL SELECT * FROM _penstock_versions",
                    key, join_on(key_, "T", "W")));
}

}  // namespace penstock::parquet
