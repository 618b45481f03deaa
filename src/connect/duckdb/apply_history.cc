// History of a stream: every change is a version, valid from the commit of its transaction to that of the next change of its
// key; a delete closes the version and marks it, a truncate does so with all. Positions order the changes, never clocks: a
// version ends before it begins where the source's clock was set back in between.
//
// A version that a delete or truncate has closed has the position of that: so a key's newest position in the target says
// which changes of it have been applied.
#include <fmt/format.h>

#include "connect/duckdb/changes.h"
#include "connect/duckdb/newest_position.h"
#include "connect/duckdb/staging.h"
#include "connect/duckdb/unsent.h"

namespace penstock::duckdb {
namespace {

namespace change = flow::change;

/// Row ids of the changes that the target has already.
constexpr const char* known = "temp.main.penstock_known";
using engine::events;
/// Current versions of the target that end in this part, as they are then, with their row ids as penstock_row.
constexpr const char* closed = "temp.main.penstock_closed";

struct Versions {
    Changes& changes;
    Load& load = changes.load;
    UnsentValues values = UnsentValues::none(changes);

    std::string on(std::string_view left, std::string_view right) const { return changes.on_key(left, right); }
    std::string unknown(std::string_view id) const;

    Status find_known();
    Status complete_values();
    Status close();
    Result<int64_t> open();
    Result<flow::Counts> write();
};

Status Versions::find_known() {
    bool all_new = load.into_empty;
    if (!all_new) {
        PN_TRY(all_new, NewestPosition(load).is_before(changes));
    }
    std::string positions =
        fmt::format("SELECT {}, T.{} AS penstock_position FROM {} T SEMI JOIN {} S ON {}", changes.keys("T."),
                    change::position, load.into.quoted(), staged_changes, on("T", "S"));
    std::string found = fmt::format("{} S SEMI JOIN ({}) N ON {} AND N.penstock_position >= S.{}", staged_changes,
                                    positions, on("N", "S"), change::position);
    PN_CHECK(load.run(fmt::format("DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS SELECT S.rowid AS id FROM {1}{2}",
                                  known, all_new ? staged_changes : found, all_new ? " S WHERE false" : "")));
    return {};
}

/// A condition on row ids: neither known nor lost.
std::string Versions::unknown(std::string_view id) const {
    std::string condition = fmt::format("{} NOT IN (SELECT id FROM {})", id, known);
    if (values.lost > 0) condition += fmt::format(" AND {} NOT IN (SELECT id FROM {})", id, UnsentValues::lost_rows);
    return condition;
}

Status Versions::complete_values() {
    if (changes.unsent == 0) return {};
    PN_TRY(values, find_unsent(changes, fmt::format("SELECT rowid AS id FROM {} WHERE {} <> '' AND {}", staged_changes,
                                                    change::unchanged, unknown("rowid"))));
    return {};
}

/// Ends the target's current versions at the first change of their key, unless a truncate comes before.
Status Versions::close() {
    if (load.into_empty) return {};
    std::string table = load.into.quoted(),
                ends = fmt::format(
                    "SELECT T.rowid AS penstock_row, T.* REPLACE (E.penstock_committed_at AS {0}, E.penstock_op = 'd' "
                    "AS {1}, CASE WHEN "
                    "E.penstock_op = 'd' THEN E.penstock_position ELSE T.{2} END "
                    "AS {2}, {3} AS {4}) FROM {5} T JOIN {6} E ON {7} AND E.penstock_first WHERE T.{0} IS NULL",
                    valid_to, change::deleted, change::position, changes.synced, change::synced_at, table, events,
                    on("T", "E"));
    if (changes.truncates > 0)
        ends += fmt::format(
            " AND NOT EXISTS (SELECT 1 FROM {} X WHERE X.position > coalesce(T.{}, '') AND X.position < "
            "E.penstock_position)",
            changes.truncates_table(), change::position);
    PN_CHECK(load.run(fmt::format("DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS {1}", closed, ends)));
    // An update would rewrite much of the table: see merge.cc. A unique index leaves no other way.
    if (load.into_unique) {
        PN_CHECK(load.run(
            fmt::format("UPDATE {0} AS T SET {1} = C.{1}, {2} = C.{2}, {3} = C.{3}, {4} = C.{4} FROM {5} C "
                        "WHERE {6} AND T.{1} IS NULL",
                        table, valid_to, change::deleted, change::position, change::synced_at, closed, on("T", "C"))));
    } else {
        PN_CHECK(
            load.run(fmt::format("DELETE FROM {} AS T USING {} AS C WHERE T.rowid = C.penstock_row", table, closed)));
        PN_CHECK(
            load.run(fmt::format("INSERT INTO {} BY NAME SELECT * EXCLUDE (penstock_row) FROM {}", table, closed)));
    }
    PN_CHECK(load.run(fmt::format("DROP TABLE {}", closed)));
    return truncate_target(changes);
}

Result<int64_t> Versions::open() {
    const char* ended = "coalesce(E.penstock_next_op IN ('d', 't'), false)";
    return load.run(fmt::format(
        "INSERT INTO {0} ({1}, {2}, {3}, {4}, {5}, {6}) SELECT * FROM (SELECT {7}, CASE WHEN {8} THEN "
        "E.penstock_next_position "
        "ELSE E.penstock_position END, {9}, E.penstock_committed_at, E.penstock_next_committed_at, {8} FROM {10} S "
        "JOIN {11} E "
        "ON S.rowid = E.penstock_id{12} WHERE E.penstock_op <> 'd'){13}",
        load.into.quoted(), changes.columns(), change::position, change::synced_at, valid_from, valid_to,
        change::deleted, values.columns(), ended, changes.synced, staged_changes, events, values.join(), load.order()));
}

Result<flow::Counts> Versions::write() {
    PN_CHECK(engine::chain_events(changes, unknown("rowid")));
    PN_CHECK(close());
    PN_TRY(int64_t opened, open());
    PN_TRY(auto deletes,
           load.connection.query(fmt::format("SELECT count(*) FILTER (penstock_op = 'd') FROM {}", events)));
    flow::Counts counts{.rows_deleted = deletes.number(0, 0)};
    counts.rows_written = opened + counts.rows_deleted + changes.truncates;
    counts.rows_filtered = changes.rows - counts.rows_written - values.lost;
    PN_CHECK(load.run(fmt::format("DROP TABLE {}; DROP TABLE {}", events, known)));
    PN_CHECK(values.drop());
    return counts;
}

}  // namespace

Result<flow::Counts> history_by_key(Changes& changes) {
    Versions versions{.changes = changes};
    PN_CHECK(versions.find_known());
    PN_CHECK(versions.complete_values());
    return versions.write();
}

}  // namespace penstock::duckdb
