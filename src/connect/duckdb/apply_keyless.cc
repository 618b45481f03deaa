// Changes of a table without key: a row is told apart by all its values, and equal rows are as good as one another. A delete
// takes the oldest row of its values that is there, be it in the target or from an earlier change of the part; so the n-th
// delete of some values goes with the n-th row of them, counted from truncate to truncate.
//
// Rows may be wide and many: their values are compared once, to find the number of their group; what is counted and sorted then is
// numbers. Windows over the values themselves would have to be held in memory.
//
// What the target has already is told by its newest position alone. That is certain where deleted rows stay (soft deletes,
// history); under hard deletes, and for rows of a snapshot, only the checkpoint keeps a part from coming twice.
#include <fmt/format.h>

#include <algorithm>

#include "connect/duckdb/changes.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

namespace change = flow::change;

/// Each values that are deleted, once for all between two truncates: (penstock_group, penstock_epoch, the source's columns).
constexpr const char* groups = "temp.main.penstock_groups";
/// Rows that a delete may take, numbered among their equals: (penstock_id, penstock_in_target, penstock_group, penstock_n).
constexpr const char* comings = "temp.main.penstock_comings";
/// Deletes, numbered likewise, with penstock_position and penstock_committed_at.
constexpr const char* goings = "temp.main.penstock_goings";
/// Rows and the deletes that took them.
constexpr const char* pairs = "temp.main.penstock_pairs";

struct Multiset {
    Changes& changes;
    Load& load = changes.load;
    bool history = load.target.mode == flow::Mode::history;
    bool hard = !history && load.target.deletes == flow::Deletes::hard;
    std::string fresh = {};  ///< a condition on a staged row S: the target has not had it
    int64_t deletes = 0;

    Status find_fresh();
    Status group();
    Status number();
    Status pair();
    Status take_from_target();
    Result<int64_t> insert();
    Status drop();

    std::string grouped(const std::string& table, const std::string& alias) const;
    std::string ranked(const std::string& order) const;
};

Status Multiset::find_fresh() {
    PN_TRY(auto newest,
           load.connection.query(fmt::format("SELECT max({}) FROM {}", change::position, load.into.quoted())));
    fresh = fmt::format("(S.{} = 'r' OR S.{} > {})", change::op, change::position,
                        engine::quote_literal(newest.text(0, 0)));
    // What came before the last truncate leaves no trace where nothing stays.
    if (hard && changes.truncates > 0) fresh += fmt::format(" AND S.{} > {}", change::position, changes.last_truncate);
    PN_TRY(auto counted, load.connection.query(fmt::format("SELECT count(*) FROM {} S WHERE S.{} = 'd' AND {}",
                                                           staged_changes, change::op, fresh)));
    deletes = counted.number(0, 0);
    return {};
}

/// changes.dated(), with the rows' groups; rows without are left out.
std::string Multiset::grouped(const std::string& table, const std::string& alias) const {
    return fmt::format("{} JOIN {} G ON {}{}", changes.dated(table, alias), groups,
                       engine::same_but_for_zero_sign(load.columns(), "G", alias),
                       changes.truncates > 0 ? " AND G.penstock_epoch IS NOT DISTINCT FROM X.position" : "");
}

std::string Multiset::ranked(const std::string& order) const {
    return fmt::format("row_number() OVER (PARTITION BY penstock_group ORDER BY {}) AS penstock_n", order);
}

Status Multiset::group() {
    std::string deleted =
        fmt::format("{} WHERE S.{} = 'd' AND {}", changes.dated(staged_changes, "S"), change::op, fresh);
    PN_CHECK(load.run(fmt::format(
        "CREATE TEMP TABLE {} AS SELECT S.rowid AS penstock_group, X.position AS penstock_epoch, {}{} AND S.rowid IN "
        "(SELECT min(penstock_id) FROM (SELECT S.rowid AS penstock_id, X.position AS penstock_epoch, {}{}) GROUP BY "
        "{}, "
        "penstock_epoch)",
        groups, changes.columns("S."), deleted, changes.columns("S."), deleted,
        engine::value_list_but_for_zero_sign(load.columns()))));
    return {};
}

Status Multiset::number() {
    PN_CHECK(load.run(fmt::format(
        "CREATE TEMP TABLE {} AS SELECT *, {} FROM (SELECT S.rowid AS penstock_id, G.penstock_group, S.{} AS "
        "penstock_position, S.{} AS penstock_committed_at{} WHERE S.{} = 'd' AND {})",
        goings, ranked("penstock_id"), change::position, change::committed_at, grouped(staged_changes, "S"), change::op,
        fresh)));
    PN_CHECK(load.run(fmt::format(
        "CREATE TEMP TABLE {} AS SELECT * EXCLUDE (penstock_position), {} FROM (SELECT S.rowid AS penstock_id, false "
        "AS "
        "penstock_in_target, '' AS penstock_position, G.penstock_group{} WHERE S.{} IN ('r', 'c') AND {} UNION ALL "
        "SELECT "
        "T.rowid, true, coalesce(T.{}, ''), G.penstock_group{} WHERE {})",
        comings, ranked("penstock_in_target DESC, penstock_position, penstock_id"), grouped(staged_changes, "S"),
        change::op, fresh, change::position, grouped(load.into.quoted(), "T"), changes.alive("T."))));
    return {};
}

Status Multiset::pair() {
    PN_CHECK(drop());
    if (deletes > 0) {
        PN_CHECK(group());
        PN_CHECK(number());
        PN_CHECK(load.run(fmt::format(
            "CREATE TEMP TABLE {} AS SELECT C.penstock_id, C.penstock_in_target, G.penstock_position, "
            "G.penstock_committed_at FROM {} G JOIN {} C ON G.penstock_group = C.penstock_group AND G.penstock_n = "
            "C.penstock_n WHERE C.penstock_in_target OR C.penstock_id < G.penstock_id",
            pairs, goings, comings)));
        return {};
    }
    PN_CHECK(
        load.run(fmt::format("CREATE TEMP TABLE {} (penstock_id BIGINT, penstock_in_target BOOLEAN, penstock_position "
                             "VARCHAR, penstock_committed_at TIMESTAMPTZ)",
                             pairs)));
    return {};
}

Status Multiset::take_from_target() {
    if (hard) {
        PN_CHECK(load.run(
            fmt::format("DELETE FROM {} AS T USING {} P WHERE P.penstock_in_target AND T.rowid = P.penstock_id",
                        load.into.quoted(), pairs)));
    } else {
        PN_CHECK(load.run(
            fmt::format("UPDATE {} AS T SET {} = P.penstock_position, {} = {}, {} = true{} FROM {} P WHERE "
                        "P.penstock_in_target AND T.rowid = P.penstock_id",
                        load.into.quoted(), change::position, change::synced_at, changes.synced, change::deleted,
                        history ? fmt::format(", {} = P.penstock_committed_at", valid_to) : "", pairs)));
    }
    return truncate_target(changes);
}

Result<int64_t> Multiset::insert() {
    std::string names = fmt::format("{}, {}, {}", changes.columns(), change::position, change::synced_at);
    std::string position = hard ? fmt::format("S.{}", change::position)
                                : fmt::format("coalesce(P.penstock_position, X.position, S.{})", change::position);
    std::string values = fmt::format("{}, {}, {}", changes.columns("S."), position, changes.synced);
    bool marks =
        !hard || std::ranges::find(load.shape.only_in_target, change::deleted) != load.shape.only_in_target.end();
    if (marks) {
        names += fmt::format(", {}", change::deleted);
        values += hard ? ", false" : ", P.penstock_position IS NOT NULL OR X.position IS NOT NULL";
    }
    if (history) {
        names += fmt::format(", {}, {}", valid_from, valid_to);
        values += fmt::format(", S.{}, coalesce(P.penstock_committed_at, X.committed_at)", change::committed_at);
    }
    return load.run(
        fmt::format("INSERT INTO {} ({}) SELECT * FROM (SELECT {}{} LEFT JOIN (SELECT * FROM {} WHERE NOT "
                    "penstock_in_target) P ON P.penstock_id = S.rowid WHERE S.{} IN "
                    "('r', 'c') AND {}{}){}",
                    load.into.quoted(), names, values, changes.dated(staged_changes, "S"), pairs, change::op, fresh,
                    hard ? " AND P.penstock_id IS NULL" : "", load.order()));
}

Status Multiset::drop() {
    for (const char* table : {groups, comings, goings, pairs})
        PN_CHECK(load.run(fmt::format("DROP TABLE IF EXISTS {}", table)));
    return {};
}

}  // namespace

Result<flow::Counts> apply_by_values(Changes& changes) {
    if (changes.unsent > 0) return fail(engine::unsent_without_key(changes));
    Multiset rows{.changes = changes};
    PN_CHECK(rows.find_fresh());
    PN_CHECK(rows.pair());
    PN_CHECK(rows.take_from_target());
    PN_TRY(int64_t inserted, rows.insert());
    PN_CHECK(rows.drop());
    int64_t truncates = rows.hard ? std::min<int64_t>(changes.truncates, 1) : changes.truncates;
    flow::Counts counts{.rows_written = inserted + rows.deletes + truncates, .rows_deleted = rows.deletes};
    counts.rows_filtered = changes.rows - counts.rows_written;
    return counts;
}

}  // namespace penstock::duckdb
