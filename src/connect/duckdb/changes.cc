#include "connect/duckdb/changes.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "connect/duckdb/newest_position.h"
#include "connect/duckdb/own_columns.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using engine::quote_literal;
namespace change = flow::change;

/// The columns of flow/change.h as a staged row has them; a snapshot's rows come without those that say nothing of them.
std::string change_columns(const Load& load, const std::vector<std::string>& key) {
    bool whole = load.scan.schema().find(change::unchanged) >= 0;
    std::string list = fmt::format(", {}, {}, {}", quote_identifier(change::op), quote_identifier(change::position),
                                   quote_identifier(change::committed_at));
    list += fmt::format(", {} AS {}", whole ? quote_identifier(change::unchanged) : "''",
                        quote_identifier(change::unchanged));
    list += fmt::format(", {} AS {}", whole ? quote_identifier(change::identity) : "CAST(NULL AS BIGINT)",
                        quote_identifier(change::identity));
    for (size_t i = 0; i < key.size(); ++i) {
        std::string origin = quote_identifier(change::origin(i));
        list += fmt::format(", CAST({} AS {}) AS {}", whole ? origin : "NULL",
                            engine::sql_type(load.shape.find(load.target.info.key[i])->type), origin);
    }
    return list;
}

/// Rows of a snapshot straight into an empty table.
Result<flow::Counts> insert_snapshot(Load& load, const std::string& synced) {
    std::string names = fmt::format("{}, {}", quote_identifier(change::position), quote_identifier(change::synced_at));
    std::string values = fmt::format("{}, {}", quote_identifier(change::position), synced);
    for (const auto& column : own_columns(load.target)) {
        std::string_view name = column.name;
        if (name == change::position || name == change::synced_at) continue;
        names += ", " + quote_identifier(name);
        values += name == change::deleted     ? ", false"
                  : name == valid_from_column ? ", " + quote_identifier(change::committed_at)
                                              : ", NULL";
    }
    PN_TRY(int64_t written, load.pull(fmt::format("INSERT INTO {} ({}, {}) SELECT {}, {} FROM {}{}", load.into.quoted(),
                                                  engine::quote_list(load.column_names()), names, load.select_list(),
                                                  values, load.scan.sql(), load.order())));
    return flow::Counts{.rows_read = load.scan.rows(), .rows_written = written};
}

std::string time_literal() { return fmt::format("TIMESTAMPTZ {}", quote_literal(iso_time(now()))); }

Error unknown_changes(const Load& load, int64_t count) {
    return {.kind = ErrorKind::internal,
            .code = "unknown_change",
            .message = fmt::format("{} changes of {} are of no known kind", count, load.target.info.name),
            .hint = "this is a fault of penstock: please report it with the run's log"};
}

}  // namespace

std::string Changes::columns(std::string_view prefix) const { return engine::quote_list(load.column_names(), prefix); }

std::string Changes::keys(std::string_view prefix) const { return engine::quote_list(key, prefix); }

std::string Changes::alive(std::string_view prefix) const {
    if (load.target.mode == flow::Mode::history) return fmt::format("{}{} IS NULL", prefix, valid_to_column);
    if (load.target.deletes == flow::Deletes::soft) return fmt::format("NOT {}{}", prefix, change::deleted);
    return "true";
}

std::string Changes::truncates_table() const {
    return fmt::format("(SELECT {0} AS position, {1} AS committed_at FROM {2} WHERE {3} = 't')", change::position,
                       change::committed_at, staged_changes, change::op);
}

Result<Changes> Changes::stage(Load& load) {
    Changes changes(load);
    changes.synced = time_literal();
    PN_TRY(changes.key, load.shape.names_of(load.target.info.key));
    PN_CHECK(changes.drop());
    PN_CHECK(load.pull(fmt::format("CREATE TEMP TABLE {} AS SELECT {}{} FROM {}", staged_changes, load.select_list(),
                                   change_columns(load, changes.key), load.scan.sql())));
    PN_FAILPOINT(target_stage_after);
    PN_CHECK(changes.measure());
    return changes;
}

/// One look at all rows: what a part has not need not be thought of further.
Status Changes::measure() {
    PN_TRY(auto found, load.connection.query(fmt::format(
                           "SELECT count(*), count(*) FILTER ({0} = 't'), count(*) FILTER ({1} <> ''), count({2}), "
                           "count(*) FILTER ({0} NOT IN ('r', 'c', "
                           "'u', 'd', 't')), max({3}) FILTER ({0} = 't'), min({3}), max({3}) FROM {4}",
                           change::op, change::unchanged, change::identity, change::position, staged_changes)));
    rows = found.number(0, 0);
    truncates = found.number(0, 1);
    unsent = found.number(0, 2);
    moved = found.number(0, 3);
    last_truncate = quote_literal(found.text(0, 5));
    first_position = found.text(0, 6);
    last_position = found.text(0, 7);
    if (int64_t unknown = found.number(0, 4); unknown > 0) return fail(unknown_changes(load, unknown));
    return put_in_order();
}

/// Windows without an order take the rows as they lie.
Result<bool> Changes::in_order() {
    PN_TRY(auto found, load.connection.query(fmt::format(
                           "SELECT count(*) FROM (SELECT {0} < lag({0}) OVER () OR rowid < lag(rowid) OVER () AS back "
                           "FROM {1}) WHERE back",
                           change::position, staged_changes)));
    return found.number(0, 0) == 0;
}

/// The rows of a stream lie as one reader brought them. Where several did, they are laid down anew.
Status Changes::put_in_order() {
    PN_TRY(bool ordered, in_order());
    if (ordered) return {};
    PN_CHECK(
        load.run(fmt::format("DROP TABLE IF EXISTS temp.main.penstock_in_order; CREATE TEMP TABLE penstock_in_order AS "
                             "SELECT * FROM {0} ORDER BY "
                             "{1}; DROP TABLE {0}; ALTER TABLE temp.main.penstock_in_order RENAME TO penstock_changes",
                             staged_changes, change::position)));
    PN_TRY(ordered, in_order());
    if (ordered) return {};
    return fail({.kind = ErrorKind::internal,
                 .code = "changes_unordered",
                 .message = fmt::format("changes of {} could not be put in order", load.target.info.name),
                 .hint = "this is a fault of penstock: please report it with the run's log"});
}

Status Changes::drop() {
    PN_CHECK(load.run(fmt::format("DROP TABLE IF EXISTS {}", staged_changes)));
    return {};
}

Status truncate_target(Changes& changes) {
    if (changes.truncates == 0) return {};
    auto& load = changes.load;
    bool history = load.target.mode == flow::Mode::history;
    if (!history && load.target.deletes == flow::Deletes::hard) {
        PN_CHECK(load.run(fmt::format("DELETE FROM {} WHERE ({} >= {}) IS NOT TRUE", load.into.quoted(),
                                      change::position, changes.last_truncate)));
        return {};
    }
    PN_CHECK(load.run(fmt::format(
        "UPDATE {0} AS T SET {1} = X.position, {2} = {3}, {4} = true{5} FROM (SELECT T.rowid AS id, X.position, "
        "X.committed_at FROM {0} T ASOF JOIN {6} X ON coalesce(T.{1}, '') < X.position WHERE {7}) X WHERE T.rowid = "
        "X.id",
        load.into.quoted(), change::position, change::synced_at, changes.synced, change::deleted,
        history ? fmt::format(", {} = X.committed_at", valid_to_column) : "", changes.truncates_table(),
        changes.alive("T."))));
    return {};
}

Result<flow::Counts> apply_changes(Load& load) {
    bool snapshot = load.scan.schema().find(change::unchanged) < 0;
    if (snapshot && load.into_empty) {
        PN_CHECK(NewestPosition(load).forget());
        return insert_snapshot(load, time_literal());
    }
    PN_TRY(auto changes, Changes::stage(load));
    auto apply = load.target.whole                         ? apply_whole
                 : changes.key.empty()                     ? apply_by_values
                 : load.target.mode == flow::Mode::history ? history_by_key
                                                           : mirror_by_key;
    PN_TRY(auto counts, apply(changes));
    bool asks = apply == mirror_by_key || apply == history_by_key;
    PN_CHECK(asks ? NewestPosition(load).move_to(changes) : NewestPosition(load).forget());
    PN_CHECK(changes.drop());
    counts.rows_read = load.scan.rows();
    return counts;
}

}  // namespace penstock::duckdb
