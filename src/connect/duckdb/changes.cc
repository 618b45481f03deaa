#include "connect/duckdb/changes.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "connect/duckdb/newest_position.h"
#include "connect/duckdb/own_columns.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using engine::quote_literal;
namespace change = flow::change;

/// Rows of a snapshot straight into an empty table.
Result<flow::Counts> insert_snapshot(Load& load, const std::string& synced) {
    std::string names = fmt::format("{}, {}", quote_identifier(change::position), quote_identifier(change::synced_at));
    std::string values = fmt::format("{}, {}", quote_identifier(change::position), synced);
    for (const auto& column : own_columns(load.target)) {
        std::string_view name = column.name;
        if (name == change::position || name == change::synced_at) continue;
        names += ", " + quote_identifier(name);
        values += name == change::deleted ? ", false"
                  : name == valid_from    ? ", " + quote_identifier(change::committed_at)
                                          : ", NULL";
    }
    PN_TRY(int64_t written, load.pull(fmt::format("INSERT INTO {} ({}, {}) SELECT {}, {} FROM {}{}", load.into.quoted(),
                                                  engine::quote_list(load.column_names()), names, load.select_list(),
                                                  values, load.scan.sql(), load.order())));
    return flow::Counts{.rows_read = load.scan.rows(), .rows_written = written};
}

std::string time_literal() { return fmt::format("TIMESTAMPTZ {}", quote_literal(iso_time(now()))); }

/// As the target has them.
std::vector<engine::ChangedColumn> changed_columns(const Shape& shape) {
    std::vector<engine::ChangedColumn> columns;
    for (const auto& [field, source, name, type, cast, fresh] : shape.columns) {
        auto value = quote_identifier(source);
        if (cast) value = fmt::format("CAST({} AS {})", value, engine::sql_type(type));
        columns.push_back({.field = field, .source = source, .name = name, .type = type, .value = std::move(value)});
    }
    return columns;
}

}  // namespace

std::string Changes::alive(std::string_view prefix) const {
    if (load.target.mode == flow::Mode::history) return fmt::format("{}{} IS NULL", prefix, valid_to);
    if (load.target.deletes == flow::Deletes::soft) return fmt::format("NOT {}{}", prefix, change::deleted);
    return "true";
}

Result<Changes> Changes::stage(Load& load) {
    PN_TRY(auto key, load.shape.names_of(load.target.info.key));
    PN_TRY(auto staged, engine::StagedChanges::stage({.connection = load.connection,
                                                      .scan = load.scan,
                                                      .target = load.target,
                                                      .context = load.context,
                                                      .columns = changed_columns(load.shape),
                                                      .key = std::move(key)}));
    Changes changes(std::move(staged), load);
    changes.synced = time_literal();
    return changes;
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
        history ? fmt::format(", {} = X.committed_at", valid_to) : "", changes.truncates_table(),
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
