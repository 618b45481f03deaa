#include "connect/bigquery/keyless_sql.h"

#include <fmt/format.h>

#include "connect/bigquery/own_columns.h"

namespace penstock::bigquery {
namespace {

namespace change = flow::change;

/// All columns of a row of `ready`, in order: the source's, those that only the target has, Penstock's own.
std::vector<std::string> source_columns(const StagedLoad& load) {
    std::vector<std::string> names;
    for (const auto& plan : load.shape.columns) names.push_back(plan.column.name);
    return names;
}

std::vector<std::string> own_names(const StagedLoad& load, const ChangeSet& changes) {
    std::vector<std::string> names = {change::position, change::synced_at};
    if (keeps_history(load)) names.insert(names.end(), {valid_from, valid_to});
    if (changes.marks) names.emplace_back(change::deleted);
    return names;
}

std::string all_names(const StagedLoad& load, const ChangeSet& changes) {
    auto names = source_columns(load);
    names.insert(names.end(), load.shape.only_in_target.begin(), load.shape.only_in_target.end());
    auto own = own_names(load, changes);
    names.insert(names.end(), own.begin(), own.end());
    return quote_list(names);
}

/// A row as text that two rows share exactly when all their values are the same: see publish_sql.cc.
std::string row_text(const StagedLoad& load, std::string_view from) {
    std::string fields;
    for (const auto& name : source_columns(load))
        fields += fmt::format("{0}{1}.`{2}` AS `{2}`", fields.empty() ? "" : ", ", from, name);
    return fmt::format("TO_JSON_STRING(STRUCT({}))", fields);
}

std::string key_text(const StagedLoad& load, std::string_view from) {
    std::string fields;
    for (const auto& name : load.target.info.key) {
        const auto& column = load.shape.find(name)->column;
        fields += fmt::format("{}{} AS `{}`", fields.empty() ? "" : ", ",
                              comparable(column, fmt::format("{}.`{}`", from, column.name)), column.name);
    }
    return fmt::format("TO_JSON_STRING(STRUCT({}))", fields);
}

/// The target's columns of a staged row S that is no row of the target's yet, with the time its version begins.
std::string new_row(const StagedLoad& load, const ChangeSet& changes) {
    std::string list = quote_list(source_columns(load), "S.");
    for (const auto& name : load.shape.only_in_target) list += fmt::format(", NULL AS `{}`", name);
    list += fmt::format(", S.{0} AS {0}, {1} AS {2}", change::position, changes.synced, change::synced_at);
    if (keeps_history(load))
        list += fmt::format(", S.{} AS {}, CAST(NULL AS TIMESTAMP) AS {}", staged_change::committed_at, valid_from,
                            valid_to);
    if (changes.marks) list += fmt::format(", FALSE AS {}", change::deleted);
    return list;
}

std::string old_row(const StagedLoad& load, const ChangeSet& changes) {
    std::string list = quote_list(source_columns(load), "T.");
    for (const auto& name : load.shape.only_in_target) list += fmt::format(", T.`{}`", name);
    return list + ", " + quote_list(own_names(load, changes), "T.");
}

/// Columns of `ready` from numbered rows A and what took them: `position` and `at` are NULL where nothing did.
std::string with_fate(const StagedLoad& load, const ChangeSet& changes, const std::string& taken,
                      const std::string& position, const std::string& at) {
    std::string list = quote_list(source_columns(load), "A.");
    for (const auto& name : load.shape.only_in_target) list += fmt::format(", A.`{}`", name);
    list += fmt::format(", COALESCE({0}, A.{1}) AS {1}, IF({2}, {3}, A.{4}) AS {4}", position, change::position, taken,
                        changes.synced, change::synced_at);
    if (keeps_history(load)) list += fmt::format(", A.{0}, COALESCE({1}, A.{2}) AS {2}", valid_from, at, valid_to);
    if (changes.marks) list += fmt::format(", {} AS {}", hard(load) ? "FALSE" : taken, change::deleted);
    return list;
}

/// Rows of the target by what they are, between two truncates: a condition to find those of `ready` again.
std::string group_of(const ChangeSet& changes, const std::string& text, const std::string& position) {
    return fmt::format("CONCAT(COALESCE({}, ''), '/', {})", next_truncate(changes, position, false), text);
}

}  // namespace

std::string remaining_rows_sql(const StagedLoad& load, const ChangeSet& changes) {
    std::string staged = fmt::format("SELECT S.*, CONCAT(COALESCE(S.{}, ''), '/', {}) AS penstock_group FROM ({}) AS S",
                                     staged_change::end_position, row_text(load, "S"), staged_as_target(load, changes));
    std::string goings = fmt::format(
        "SELECT penstock_group, {0}, {1}, ROW_NUMBER() OVER (PARTITION BY penstock_group ORDER BY {0}) AS penstock_n "
        "FROM staged WHERE {2} = 'd'",
        staged_change::position, staged_change::committed_at, staged_change::op);
    std::string group = group_of(changes, row_text(load, "T"), fmt::format("T.{}", change::position));
    std::string comings = fmt::format(
        "SELECT {0}, TRUE AS {1}, {2} AS penstock_group, CAST({3} AS STRING) AS penstock_end, CAST({4} AS TIMESTAMP) "
        "AS penstock_end_at FROM {5} AS T WHERE {6} AND {2} IN (SELECT penstock_group FROM goings) UNION ALL SELECT "
        "{7}, FALSE, S.penstock_group, S.{8}, S.{9} FROM staged AS S WHERE S.{10} <> 'd'",
        old_row(load, changes), in_target_column, group,
        next_truncate(changes, fmt::format("T.{}", change::position), false),
        next_truncate(changes, fmt::format("T.{}", change::position), true), load.into.quoted(),
        alive(load.target, "T."), new_row(load, changes), staged_change::end_position, staged_change::ended_at,
        staged_change::op);
    std::string numbered = fmt::format(
        "SELECT C.*, ROW_NUMBER() OVER (PARTITION BY penstock_group ORDER BY {} DESC, COALESCE({}, '')) AS penstock_n "
        "FROM comings AS C",
        in_target_column, change::position);
    std::string fate = with_fate(load, changes, "(G.penstock_n IS NOT NULL OR A.penstock_end IS NOT NULL)",
                                 fmt::format("G.{}, A.penstock_end", staged_change::position),
                                 fmt::format("G.{}, A.penstock_end_at", staged_change::committed_at));
    return make_ready(
        load,
        fmt::format("WITH staged AS ({}), goings AS ({}), comings AS ({}), numbered AS ({}) SELECT {}, A.{} FROM "
                    "numbered AS A LEFT JOIN goings AS G ON G.penstock_group = A.penstock_group AND G.penstock_n = "
                    "A.penstock_n AND (A.{} OR A.{} < G.{}){}",
                    staged, goings, comings, numbered, fate, in_target_column, in_target_column, change::position,
                    staged_change::position, hard(load) ? " WHERE G.penstock_n IS NULL" : ""));
}

std::vector<std::string> apply_keyless_sql(const StagedLoad& load, const ChangeSet& changes) {
    std::vector<std::string> statements;
    if (!changes.staged) return statements;
    auto names = all_names(load, changes);
    if (!changes.deletes) {
        std::string rows = fmt::format("SELECT {}, S.{} AS penstock_end, S.{} AS penstock_end_at FROM ({}) AS S",
                                       new_row(load, changes), staged_change::end_position, staged_change::ended_at,
                                       staged_as_target(load, changes));
        statements.push_back(fmt::format(
            "INSERT INTO {} ({}) SELECT {} FROM ({}) AS A", load.into.quoted(), names,
            with_fate(load, changes, "A.penstock_end IS NOT NULL", "A.penstock_end", "A.penstock_end_at"), rows));
        return statements;
    }
    statements.push_back(fmt::format(
        "DELETE FROM {} AS T WHERE {} AND {} IN (SELECT CONCAT(COALESCE(S.{}, ''), '/', {}) FROM ({}) AS S WHERE S.{} "
        "= 'd')",
        load.into.quoted(), alive(load.target, "T."),
        group_of(changes, row_text(load, "T"), fmt::format("T.{}", change::position)), staged_change::end_position,
        row_text(load, "S"), staged_as_target(load, changes), staged_change::op));
    statements.push_back(
        fmt::format("INSERT INTO {0} ({1}) SELECT {1} FROM {2}", load.into.quoted(), names, load.ready.quoted()));
    return statements;
}

std::string remaining_of_whole_sql(const StagedLoad& load, const ChangeSet& changes) {
    std::string staged = fmt::format(
        "SELECT S.*, {0} AS penstock_text, ROW_NUMBER() OVER (PARTITION BY {0}) AS penstock_n FROM ({1}) AS S",
        row_text(load, "S"), staged_as_target(load, changes));
    std::string there = fmt::format(
        "SELECT T.*, {0} AS penstock_text, ROW_NUMBER() OVER (PARTITION BY {0} ORDER BY T.{1}) AS penstock_n FROM {2} "
        "AS T WHERE {3}",
        row_text(load, "T"), change::position, load.into.quoted(), alive(load.target, "T."));
    auto counted = [](const char* from) {
        return fmt::format("SELECT penstock_text, COUNT(*) AS penstock_count FROM {} GROUP BY penstock_text", from);
    };
    std::string gone = "(A.penstock_n > COALESCE(N.penstock_count, 0))";
    // What has no row of its own left tells neither position nor moment: see ChangeSet.
    std::string old = with_fate(load, changes, gone, fmt::format("IF({}, {}, NULL)", gone, changes.gone_at("A")),
                                fmt::format("IF({}, {}, NULL)", gone, changes.whole_moment));
    return make_ready(
        load,
        fmt::format(
            "WITH staged AS ({}), there AS ({}), new_counts AS ({}), old_counts AS ({}) SELECT {}, TRUE AS {} FROM "
            "there AS A JOIN old_counts AS O ON O.penstock_text = A.penstock_text LEFT JOIN new_counts AS N ON "
            "N.penstock_text = A.penstock_text WHERE O.penstock_count > COALESCE(N.penstock_count, 0) UNION ALL "
            "SELECT {}, FALSE FROM staged AS S LEFT JOIN old_counts AS O ON O.penstock_text = S.penstock_text "
            "WHERE S.penstock_n > COALESCE(O.penstock_count, 0)",
            staged, there, counted("staged"), counted("there"), old, in_target_column, new_row(load, changes)));
}

std::string changed_versions_sql(const StagedLoad& load, const ChangeSet& changes) {
    return make_ready(
        load, fmt::format("SELECT {}, FALSE AS {} FROM ({}) AS S WHERE {} NOT IN (SELECT {} FROM {} AS T WHERE {})",
                          new_row(load, changes), in_target_column, staged_as_target(load, changes),
                          row_text(load, "S"), row_text(load, "T"), load.into.quoted(), alive(load.target, "T.")));
}

std::vector<std::string> apply_whole_sql(const StagedLoad& load, const ChangeSet& changes) {
    std::vector<std::string> statements;
    std::string table = load.into.quoted(), there = alive(load.target, "T."), names = all_names(load, changes);
    std::string insert = fmt::format("INSERT INTO {0} ({1}) SELECT {1} FROM {2}", table, names, load.ready.quoted());
    if (!changes.keyed) {
        statements.push_back(fmt::format("DELETE FROM {} AS T WHERE {} AND {} IN (SELECT {} FROM {} AS S WHERE S.{})",
                                         table, there, row_text(load, "T"), row_text(load, "S"), load.ready.quoted(),
                                         in_target_column));
        statements.push_back(insert);
        return statements;
    }
    std::string rows = staged_as_target(load, changes);
    statements.push_back(
        fmt::format("UPDATE {} AS T SET {} = {}, {} = {}, {} = TRUE, {} = {} WHERE {} AND {} NOT IN (SELECT {} FROM "
                    "({}) AS S)",
                    table, change::position, changes.gone_at("T"), change::synced_at, changes.synced, change::deleted,
                    valid_to, changes.whole_moment, there, key_text(load, "T"), key_text(load, "S"), rows));
    statements.push_back(
        fmt::format("UPDATE {} AS T SET {} = {}, {} = {} WHERE {} AND {} NOT IN (SELECT {} FROM ({}) AS S)", table,
                    change::synced_at, changes.synced, valid_to, changes.whole_moment, there, row_text(load, "T"),
                    row_text(load, "S"), rows));
    statements.push_back(insert);
    return statements;
}

}  // namespace penstock::bigquery
