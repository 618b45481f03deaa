#include "engine/changes/unsent_values.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::engine {
namespace {

namespace change = flow::change;

constexpr const char* wanted_rows = "temp.main.penstock_wanted";
/// Every change that may know something, by row: (identity, key…, position, id, unchanged, own). A moved row's identity
/// stands alone, a row that was not moved has its key and no identity.
constexpr const char* links = "temp.main.penstock_links";
constexpr const char* completed = "temp.main.penstock_completed";

}  // namespace

std::string for_each_key(size_t keys, std::string_view separator, const std::function<std::string(size_t)>& one) {
    std::string text;
    for (size_t i = 0; i < keys; ++i) text += fmt::format("{}{}", i == 0 ? "" : separator, one(i));
    return text;
}

std::string UnsentValues::numbered_keys(std::string_view prefix) const {
    return for_each_key(changes_->key.size(), ", ", [&](size_t i) {
        return fmt::format("{}{} AS k{}", prefix, quote_identifier(changes_->key[i]), i);
    });
}

std::string UnsentValues::origins() const {
    return for_each_key(changes_->key.size(), ", ", [](size_t i) {
        return fmt::format("any_value({}) AS k{}", quote_identifier(change::origin(i)), i);
    });
}

std::string UnsentValues::same_row(std::string_view left, std::string_view right) const {
    return fmt::format("{0}.identity IS NOT DISTINCT FROM {1}.identity AND ", left, right) +
           for_each_key(changes_->key.size(), " AND ", [&](size_t i) {
               return fmt::format("{0}.k{2} IS NOT DISTINCT FROM {1}.k{2}", left, right, i);
           });
}

/// Whether a row has the value itself.
std::string UnsentValues::sent(const ChangedColumn& column, std::string_view row) const {
    return fmt::format("substr({}{}, {}, 1) <> '1'", row, change::unchanged, column.field + 1);
}

std::string UnsentValues::no_keys() const {
    const auto& part = changes_->part;
    return for_each_key(changes_->key.size(), ", ", [&](size_t i) {
        return fmt::format("CAST(NULL AS {}) AS k{}", sql_type(part.find(part.target.info.key[i])->type), i);
    });
}

Result<UnsentValues> UnsentValues::find(StagedChanges& changes, const std::string& wanted) {
    UnsentValues values(changes);
    PN_CHECK(values.drop());
    PN_CHECK(changes.run(fmt::format("CREATE TEMP TABLE {} AS {}", wanted_rows, wanted)));
    PN_CHECK(values.find_columns());
    if (!values.any()) return values;
    PN_CHECK(values.link());
    PN_CHECK(values.find_sources());
    return values;
}

Status UnsentValues::drop() {
    for (const char* table : {wanted_rows, links, sources, completed, lost_rows})
        PN_CHECK(changes_->run(fmt::format("DROP TABLE IF EXISTS {}", table)));
    return {};
}

Status UnsentValues::find_columns() {
    const auto& part = changes_->part;
    PN_TRY(auto patterns,
           part.connection.query(fmt::format("SELECT DISTINCT S.{} FROM {} S JOIN {} W ON S.rowid = W.id",
                                             change::unchanged, staged_changes, wanted_rows)));
    for (const auto& column : part.columns)
        for (size_t i = 0; i < patterns.rows.size(); ++i) {
            const auto& pattern = patterns.text(i, 0);
            if (column.field >= pattern.size() || pattern[column.field] != '1') continue;
            columns_.push_back(&column);
            break;
        }
    return {};
}

Status UnsentValues::link() {
    std::string row = fmt::format("S.{} AS position, S.rowid AS id, S.{} AS {}", change::position, change::unchanged,
                                  change::unchanged);
    std::string has_values = fmt::format("S.{} IN ('r', 'c', 'u')", change::op);
    std::string plain = fmt::format("S.{} IS NULL", change::identity);
    std::string sql = fmt::format(
        "CREATE TEMP TABLE {0} AS WITH needed AS (SELECT S.* FROM {1} S JOIN {2} W ON S.rowid = W.id) "
        "SELECT CAST(NULL AS BIGINT) AS identity, {3}, {4}, true AS own FROM {1} S SEMI JOIN (SELECT * FROM needed S "
        "WHERE {5}) N "
        "ON {6} WHERE {5} AND {7}",
        links, staged_changes, wanted_rows, numbered_keys("S."), row, plain, changes_->on_key("S", "N"), has_values);
    if (changes_->moved > 0) {
        sql += fmt::format(
            " UNION ALL SELECT S.{0}, {1}, {2}, true FROM {3} S SEMI JOIN needed N ON S.{0} = N.{0} WHERE {4}",
            change::identity, no_keys(), row, staged_changes, has_values);
        std::string on = for_each_key(changes_->key.size(), " AND ", [&](size_t i) {
            return fmt::format("S.{} = O.k{}", quote_identifier(changes_->key[i]), i);
        });
        sql += fmt::format(
            " UNION ALL SELECT O.identity, {0}, {1}, false FROM (SELECT {2} AS identity, {3}, min({4}) AS began FROM "
            "{5} "
            "WHERE {2} IN (SELECT {2} FROM needed) GROUP BY {2}) O JOIN {5} S ON {6} WHERE {7} AND {8} AND S.{4} < "
            "O.began",
            no_keys(), row, change::identity, origins(), change::position, staged_changes, on, plain, has_values);
    }
    PN_CHECK(changes_->run(sql));
    return {};
}

Status UnsentValues::find_sources() {
    std::string newest;
    for (size_t i = 0; i < columns_.size(); ++i)
        newest += fmt::format(", last_value(CASE WHEN {} THEN id END IGNORE NULLS) OVER penstock_so_far AS source_{}",
                              sent(*columns_[i], ""), i);
    std::string keys = for_each_key(changes_->key.size(), ", ", [](size_t i) { return fmt::format("k{}", i); });
    PN_CHECK(changes_->run(fmt::format(
        "CREATE TEMP TABLE {0} AS SELECT L.* EXCLUDE (own) FROM (SELECT id, own, identity, {1}{2} FROM {3} WINDOW "
        "penstock_so_far AS (PARTITION BY identity, {1} ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT "
        "ROW)) L SEMI JOIN {4} W ON L.id = W.id WHERE L.own",
        sources, keys, newest, links, wanted_rows)));
    return {};
}

std::string UnsentValues::missing() const {
    std::string missing;
    for (size_t i = 0; i < columns_.size(); ++i)
        missing += fmt::format("{}R.source_{} IS NULL", i == 0 ? "" : " OR ", i);
    return missing;
}

Status UnsentValues::complete(const FromTarget& from) {
    std::string sum;
    for (size_t i = 0; i < columns_.size(); ++i)
        sum += fmt::format("{}count(*) FILTER (source_{} <> id)", i == 0 ? "" : ", ", i);
    PN_TRY(auto within, changes_->part.connection.query(fmt::format("SELECT {} FROM {}", sum, sources)));
    std::string values, joins, needs;
    for (size_t i = 0; i < columns_.size(); ++i) {
        auto name = quote_identifier(columns_[i]->name), theirs = from.value(*columns_[i]);
        bool in_part = within.number(0, i) > 0;
        values +=
            in_part ? fmt::format(", CASE WHEN R.source_{0} IS NULL THEN {2} ELSE P{0}.{1} END AS {1}", i, name, theirs)
                    : fmt::format(", {1} AS {0}", name, theirs);
        if (in_part) joins += fmt::format(" LEFT JOIN {0} P{1} ON P{1}.rowid = R.source_{1}", staged_changes, i);
        needs += fmt::format("{}CASE WHEN R.source_{} IS NULL THEN '1' ELSE '0' END", i == 0 ? "" : " || ", i);
    }
    PN_CHECK(changes_->run(
        fmt::format("CREATE TEMP TABLE {} AS SELECT R.id AS penstock_id, NOT ({}) AND ({}) AS penstock_lost, {} AS "
                    "penstock_needs{}{} FROM {} R{}{}",
                    completed, from.found, missing(), needs, values, from.more, sources, from.joins, joins)));
    return reject_lost();
}

/// A NULL in place of a value that nobody knows would be a lie.
Status UnsentValues::reject_lost() {
    auto& part = changes_->part;
    PN_CHECK(changes_->run(fmt::format("CREATE TEMP TABLE {} AS SELECT penstock_id AS id FROM {} WHERE penstock_lost",
                                       lost_rows, completed)));
    PN_TRY(auto rows, part.connection.query(fmt::format(
                          "SELECT {}, {}, S.{} FROM {} S SEMI JOIN {} L ON S.rowid = L.id", changes_->row_json(true),
                          changes_->row_json(false), change::position, staged_changes, lost_rows)));
    for (size_t i = 0; i < rows.rows.size(); ++i)
        PN_CHECK(part.context.rejects.add(
            {.table = part.target.info.name,
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
    for (const auto& column : changes_->part.columns) {
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

std::string UnsentValues::needs() const { return columns_.empty() ? "''" : "coalesce(U.penstock_needs, '')"; }

}  // namespace penstock::engine
