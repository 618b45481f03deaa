// A table of changes that is read anew while its target is there: every row of the source as of one moment, beside what the
// target has. In mode history rows that are as they were keep their version, others get a new one, and those that are gone
// are closed as deleted; soft deletes mark them. (Under hard deletes the table is built again instead: see sink.cc.)
//
// The rows are the truth as of their position, whatever positions the target has: these may come from another slot. All rows
// of the part have one position, and changes that come later have later ones. Without key, rows are told apart by their values.
#include <fmt/format.h>

#include "base/log.h"
#include "connect/duckdb/changes.h"
#include "connect/duckdb/staging.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

namespace change = flow::change;

/// Rows of the target that the source still has as they are: (target_id, staged_id).
constexpr const char* same = "temp.main.penstock_same";

struct Whole {
    Changes& changes;
    Load& load = changes.load;
    bool history = load.target.mode == flow::Mode::history;
    bool keyed = !changes.key.empty();
    std::string position = {};  ///< of the part, as SQL
    std::string moment = {};

    std::string table() const { return load.into.quoted(); }
    std::string on() const { return join_on(changes.key, "T", "S"); }
    Status look();
    Status find_same();
    Result<int64_t> end_gone();
    Result<int64_t> insert();
    Result<int64_t> merge();
};

/// A table that is empty now has no row to tell the position.
Status Whole::look() {
    PN_TRY(auto found, load.connection.query(fmt::format("SELECT max({}), max({})::VARCHAR FROM {}", change::position,
                                                         change::committed_at, staged_changes)));
    position = changes.rows == 0 ? fmt::format("T.{}", change::position) : engine::quote_literal(found.text(0, 0));
    moment =
        changes.rows == 0 ? changes.synced : fmt::format("TIMESTAMPTZ {}", engine::quote_literal(found.text(0, 1)));
    return {};
}

Status Whole::find_same() {
    std::string pairs;
    if (keyed && history) {
        pairs = fmt::format(
            "SELECT T.rowid AS target_id, S.rowid AS staged_id FROM {} T JOIN {} S ON {} AND {} WHERE {}", table(),
            staged_changes, on(), engine::same_values(load.columns(), "T", "S"), changes.alive("T."));
    } else if (keyed) {
        pairs = "SELECT CAST(NULL AS BIGINT) AS target_id, CAST(NULL AS BIGINT) AS staged_id WHERE false";
    } else {
        auto numbered = [&](const std::string& from, const std::string& condition) {
            return fmt::format(
                "(SELECT rowid AS _penstock_row, {}, row_number() OVER (PARTITION BY {} ORDER BY rowid) AS _penstock_n "
                "FROM {} WHERE {})",
                changes.columns(), engine::value_list_but_for_zero_sign(load.columns()), from, condition);
        };
        pairs = fmt::format(
            "SELECT T._penstock_row AS target_id, S._penstock_row AS staged_id FROM {} T JOIN {} S ON "
            "T._penstock_n = S._penstock_n AND {}",
            numbered(table(), changes.alive()), numbered(staged_changes, "true"),
            engine::same_but_for_zero_sign(load.columns(), "T", "S"));
    }
    PN_CHECK(load.run(fmt::format("DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS {1}", same, pairs)));
    return {};
}

/// Rows that are gone are deleted; a version that another one follows is only closed.
Result<int64_t> Whole::end_gone() {
    std::string gone = keyed ? "S.rowid IS NULL" : "true";
    std::string ends = fmt::format(
        "SELECT T.rowid AS id, {} AS gone FROM {} T{} WHERE {} AND T.rowid NOT IN (SELECT "
        "target_id FROM {})",
        gone, table(), keyed ? fmt::format(" LEFT JOIN {} S ON {}", staged_changes, on()) : "", changes.alive("T."),
        same);
    if (!history && keyed) ends += " AND S.rowid IS NULL";
    std::string closed = history ? fmt::format(", {} = {}", valid_to, moment) : "";
    return load.run(fmt::format(
        "UPDATE {0} AS T SET {1} = CASE WHEN X.gone THEN {2} ELSE T.{1} END, {3} = {4}, {5} = "
        "X.gone{6} FROM ({7}) X WHERE T.rowid = X.id",
        table(), change::position, position, change::synced_at, changes.synced, change::deleted, closed, ends));
}

Result<int64_t> Whole::insert() {
    std::string names =
        fmt::format("{}, {}, {}, {}", changes.columns(), change::position, change::synced_at, change::deleted);
    std::string values = fmt::format("{}, S.{}, {}, false", changes.columns("S."), change::position, changes.synced);
    if (history) {
        names += fmt::format(", {}, {}", valid_from, valid_to);
        values += fmt::format(", S.{}, NULL", change::committed_at);
    }
    return load.run(
        fmt::format("INSERT INTO {} ({}) SELECT * FROM (SELECT {} FROM {} S WHERE S.rowid NOT IN (SELECT "
                    "staged_id FROM {})){}",
                    table(), names, values, staged_changes, same, load.order()));
}

/// In place: columns that only the target has keep their values, and a unique index may stand on it.
Result<int64_t> Whole::merge() {
    std::string set;
    for (const auto& name : load.column_names())
        if (std::ranges::find(changes.key, name) == changes.key.end())
            set += fmt::format("{0} = S.{0}, ", engine::quote_identifier(name));
    set += fmt::format("{0} = S.{0}, {1} = {2}, {3} = false", change::position, change::synced_at, changes.synced,
                       change::deleted);
    return load.run(
        fmt::format("MERGE INTO {} AS T USING {} AS S ON ({}) WHEN MATCHED THEN UPDATE SET {} WHEN NOT MATCHED THEN "
                    "INSERT ({}, {}, "
                    "{}, {}) VALUES ({}, S.{}, {}, false)",
                    table(), staged_changes, on(), set, changes.columns(), change::position, change::synced_at,
                    change::deleted, changes.columns("S."), change::position, changes.synced));
}

}  // namespace

Result<flow::Counts> apply_whole(Changes& changes) {
    Whole whole{.changes = changes};
    PN_CHECK(whole.look());
    PN_CHECK(whole.find_same());
    PN_TRY(int64_t ended, whole.end_gone());
    bool in_place = !whole.history && whole.keyed;
    PN_TRY(int64_t written, in_place ? whole.merge() : whole.insert());
    PN_CHECK(changes.load.run(fmt::format("DROP TABLE {}", same)));
    log::info("{}: read anew, {} rows written, {} versions or rows ended", changes.load.target.info.name, written,
              ended);
    return flow::Counts{.rows_written = written, .rows_filtered = changes.rows - written};
}

}  // namespace penstock::duckdb
