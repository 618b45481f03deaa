#include "connect/duckdb/unsent.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "connect/duckdb/staging.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
namespace change = flow::change;

constexpr const char* wanted_rows = "temp.main.penstock_wanted";
/// Every change that may know something, by row: (identity, key…, position, id, unchanged, own). A moved row's identity
/// stands alone, a row that was not moved has its key and no identity.
constexpr const char* links = "temp.main.penstock_links";
/// Of each wanted row, where each value comes from: (id, identity, key…, source_0, source_1 …), NULL: from the target.
constexpr const char* sources = "temp.main.penstock_sources";
/// (identity, key…, target): the row of the target that each row was before this part.
constexpr const char* targets = "temp.main.penstock_targets";
constexpr const char* completed = "temp.main.penstock_completed";

/// "S.k0 AS k0, S.k1 AS k1"
std::string numbered(const std::vector<std::string>& names, std::string_view prefix) {
    std::string list;
    for (size_t i = 0; i < names.size(); ++i)
        list += fmt::format("{}{}{} AS k{}", i == 0 ? "" : ", ", prefix, quote_identifier(names[i]), i);
    return list;
}

std::string each_key(size_t keys, std::string_view separator, auto&& one) {
    std::string text;
    for (size_t i = 0; i < keys; ++i) text += fmt::format("{}{}", i == 0 ? "" : separator, one(i));
    return text;
}

std::string k_list(size_t keys, std::string_view prefix = "") {
    return each_key(keys, ", ", [&](size_t i) { return fmt::format("{}k{}", prefix, i); });
}

}  // namespace

/// Whether a row has the value itself.
std::string UnsentValues::sent(const ColumnPlan& column, std::string_view row) const {
    return fmt::format("substr({}{}, {}, 1) <> '1'", row, change::unchanged, column.field + 1);
}

std::string UnsentValues::no_keys() const {
    const auto& load = changes_->load;
    return each_key(changes_->key.size(), ", ", [&](size_t i) {
        return fmt::format("CAST(NULL AS {}) AS k{}", engine::sql_type(load.shape.find(load.target.info.key[i])->type),
                           i);
    });
}

Result<UnsentValues> UnsentValues::find(Changes& changes, const std::string& wanted) {
    UnsentValues values(changes);
    PN_CHECK(values.drop());
    PN_CHECK(changes.load.run(fmt::format("CREATE TEMP TABLE {} AS {}", wanted_rows, wanted)));
    PN_CHECK(values.find_columns());
    if (values.columns_.empty()) return values;
    PN_CHECK(values.link());
    PN_CHECK(values.find_sources());
    PN_CHECK(values.find_targets());
    PN_CHECK(values.complete());
    PN_CHECK(values.reject_lost());
    return values;
}

Status UnsentValues::drop() {
    for (const char* table : {wanted_rows, links, sources, targets, completed, lost_rows})
        PN_CHECK(changes_->load.run(fmt::format("DROP TABLE IF EXISTS {}", table)));
    return {};
}

Status UnsentValues::find_columns() {
    PN_TRY(auto patterns,
           changes_->load.connection.query(fmt::format("SELECT DISTINCT S.{} FROM {} S JOIN {} W ON S.rowid = W.id",
                                                       change::unchanged, staged_changes, wanted_rows)));
    for (const auto& column : changes_->load.shape.columns)
        for (size_t i = 0; i < patterns.rows.size(); ++i) {
            const auto& pattern = patterns.text(i, 0);
            if (column.field >= pattern.size() || pattern[column.field] != '1') continue;
            columns_.push_back(&column);
            break;
        }
    return {};
}

Status UnsentValues::link() {
    auto& load = changes_->load;
    std::string row = fmt::format("S.{} AS position, S.rowid AS id, S.{} AS {}", change::position, change::unchanged,
                                  change::unchanged);
    std::string has_values = fmt::format("S.{} IN ('r', 'c', 'u')", change::op);
    std::string plain = fmt::format("S.{} IS NULL", change::identity);
    std::string sql = fmt::format(
        "CREATE TEMP TABLE {0} AS WITH needed AS (SELECT S.* FROM {1} S JOIN {2} W ON S.rowid = W.id) "
        "SELECT CAST(NULL AS BIGINT) AS identity, {3}, {4}, true AS own FROM {1} S SEMI JOIN (SELECT * FROM needed S "
        "WHERE {5}) N "
        "ON {6} WHERE {5} AND {7}",
        links, staged_changes, wanted_rows, numbered(changes_->key, "S."), row, plain, join_on(changes_->key, "S", "N"),
        has_values);
    if (changes_->moved > 0) {
        sql += fmt::format(
            " UNION ALL SELECT S.{0}, {1}, {2}, true FROM {3} S SEMI JOIN needed N ON S.{0} = N.{0} WHERE {4}",
            change::identity, no_keys(), row, staged_changes, has_values);
        std::string origins = each_key(changes_->key.size(), ", ", [](size_t i) {
            return fmt::format("any_value({}) AS k{}", quote_identifier(change::origin(i)), i);
        });
        std::string on = each_key(changes_->key.size(), " AND ", [&](size_t i) {
            return fmt::format("S.{} = O.k{}", quote_identifier(changes_->key[i]), i);
        });
        sql += fmt::format(
            " UNION ALL SELECT O.identity, {0}, {1}, false FROM (SELECT {2} AS identity, {3}, min({4}) AS began FROM "
            "{5} "
            "WHERE {2} IN (SELECT {2} FROM needed) GROUP BY {2}) O JOIN {5} S ON {6} WHERE {7} AND {8} AND S.{4} < "
            "O.began",
            no_keys(), row, change::identity, origins, change::position, staged_changes, on, plain, has_values);
    }
    PN_CHECK(load.run(sql));
    return {};
}

Status UnsentValues::find_sources() {
    std::string newest;
    for (size_t i = 0; i < columns_.size(); ++i)
        newest += fmt::format(", last_value(CASE WHEN {} THEN id END IGNORE NULLS) OVER penstock_so_far AS source_{}",
                              sent(*columns_[i], ""), i);
    std::string keys = k_list(changes_->key.size());
    PN_CHECK(changes_->load.run(fmt::format(
        "CREATE TEMP TABLE {0} AS SELECT L.* EXCLUDE (own) FROM (SELECT id, own, identity, {1}{2} FROM {3} WINDOW "
        "penstock_so_far AS (PARTITION BY identity, {1} ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT "
        "ROW)) L SEMI JOIN {4} W ON L.id = W.id WHERE L.own",
        sources, keys, newest, links, wanted_rows)));
    return {};
}

/// The first key of a moved row is where the target has it, unless the target has seen some of its moves already: a part
/// that overlaps one that was applied.
Status UnsentValues::find_targets() {
    auto& load = changes_->load;
    size_t keys = changes_->key.size();
    std::string on_k = each_key(
        keys, " AND ", [&](size_t i) { return fmt::format("T.{} = N.k{}", quote_identifier(changes_->key[i]), i); });
    std::string sql = fmt::format(
        "CREATE TEMP TABLE {} AS SELECT CAST(NULL AS BIGINT) AS identity, {}, max(T.rowid) AS target FROM {} T SEMI "
        "JOIN "
        "{} N ON {} WHERE {} GROUP BY {}",
        targets, numbered(changes_->key, "T."), load.into.quoted(), sources, on_k, changes_->alive("T."),
        changes_->keys("T."));
    if (changes_->moved > 0) {
        std::string origins = each_key(keys, ", ", [](size_t i) {
            return fmt::format("any_value({}) AS k{}", quote_identifier(change::origin(i)), i);
        });
        std::string seen = each_key(keys, ", ", [&](size_t i) {
            return fmt::format("arg_max(S.{}, S.{}) AS k{}", quote_identifier(changes_->key[i]), change::position, i);
        });
        std::string place =
            each_key(keys, ", ", [](size_t i) { return fmt::format("coalesce(B.k{0}, O.k{0}) AS k{0}", i); });
        sql += fmt::format(
            " UNION ALL SELECT N.identity, {0}, max(T.rowid) FROM (SELECT O.identity, {1} FROM (SELECT {2} AS "
            "identity, "
            "{3} FROM {4} WHERE {2} IS NOT NULL GROUP BY {2}) O LEFT JOIN (SELECT S.{2} AS identity, {5} FROM {4} S "
            "JOIN "
            "{6} T ON {7} AND T.{8} >= S.{8} WHERE S.{2} IS NOT NULL AND S.{9} <> 'd' AND {10} GROUP BY S.{2}) B ON "
            "B.identity = O.identity) N JOIN {6} T ON {11} WHERE {10} GROUP BY N.identity",
            no_keys(), place, change::identity, origins, staged_changes, seen, load.into.quoted(),
            join_on(changes_->key), change::position, change::op, changes_->alive("T."), on_k);
    }
    PN_CHECK(load.run(sql));
    return {};
}

Status UnsentValues::complete() {
    auto& load = changes_->load;
    std::string sum;
    for (size_t i = 0; i < columns_.size(); ++i)
        sum += fmt::format("{}count(*) FILTER (source_{} <> id)", i == 0 ? "" : ", ", i);
    PN_TRY(auto within, load.connection.query(fmt::format("SELECT {} FROM {}", sum, sources)));
    std::string values, joins, missing;
    for (size_t i = 0; i < columns_.size(); ++i) {
        auto name = quote_identifier(columns_[i]->name);
        bool in_part = within.number(0, i) > 0;
        values += in_part ? fmt::format(", CASE WHEN R.source_{0} IS NULL THEN T.{1} ELSE P{0}.{1} END AS {1}", i, name)
                          : fmt::format(", T.{0} AS {0}", name);
        if (in_part) joins += fmt::format(" LEFT JOIN {0} P{1} ON P{1}.rowid = R.source_{1}", staged_changes, i);
        missing += fmt::format("{}R.source_{} IS NULL", i == 0 ? "" : " OR ", i);
    }
    std::string same = "R.identity IS NOT DISTINCT FROM G.identity AND " +
                       each_key(changes_->key.size(), " AND ",
                                [](size_t i) { return fmt::format("R.k{0} IS NOT DISTINCT FROM G.k{0}", i); });
    PN_CHECK(
        load.run(fmt::format("CREATE TEMP TABLE {} AS SELECT R.id AS penstock_id, G.target IS NULL AND ({}) AS "
                             "penstock_lost{} FROM {} R LEFT JOIN {} G ON {} LEFT "
                             "JOIN {} T ON T.rowid = G.target{}",
                             completed, missing, values, sources, targets, same, load.into.quoted(), joins)));
    return {};
}

/// A NULL in place of a value that nobody knows would be a lie.
Status UnsentValues::reject_lost() {
    auto& load = changes_->load;
    PN_CHECK(load.run(fmt::format("CREATE TEMP TABLE {} AS SELECT penstock_id AS id FROM {} WHERE penstock_lost",
                                  lost_rows, completed)));
    PN_TRY(auto rows,
           load.connection.query(fmt::format("SELECT {}, {}, S.{} FROM {} S SEMI JOIN {} L ON S.rowid = L.id",
                                             row_json(load.shape, &changes_->key), row_json(load.shape, nullptr),
                                             change::position, staged_changes, lost_rows)));
    for (size_t i = 0; i < rows.rows.size(); ++i)
        PN_CHECK(load.context.rejects.add(
            {.table = load.target.info.name,
             .source_position = rows.text(i, 2),
             .key = rows.text(i, 0),
             .column = columns_.front()->source,
             .code = "unsent_value",
             .reason = "the change left out values that had not changed, and the target does not have the row",
             .payload = rows.text(i, 1),
             .received_at = now()}));
    lost = static_cast<int64_t>(rows.rows.size());
    return {};
}

std::string UnsentValues::columns() const {
    std::string list;
    for (const auto& column : changes_->load.shape.columns) {
        auto name = quote_identifier(column.name);
        bool left_out = std::ranges::find(columns_, &column) != columns_.end();
        list += list.empty() ? "" : ", ";
        list += left_out
                    ? fmt::format("CASE WHEN {} THEN S.{} ELSE U.{} END AS {}", sent(column, "S."), name, name, name)
                    : "S." + name;
    }
    return list;
}

std::string UnsentValues::join() const {
    return columns_.empty() ? "" : fmt::format(" LEFT JOIN {} U ON U.penstock_id = S.rowid", completed);
}

}  // namespace penstock::duckdb
