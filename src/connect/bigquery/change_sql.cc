// Staged changes into a table of BigQuery. What could be decided among the changes themselves has been (engine/changes): here they meet
// the target's rows. Statements that complete rows from what the target has come before those that end these.
#include "connect/bigquery/change_sql.h"

#include <fmt/format.h>

#include <algorithm>

#include "connect/bigquery/keyless_sql.h"
#include "connect/bigquery/own_columns.h"

namespace penstock::bigquery {
namespace {

using flow::Deletes;
using flow::Mode;

/// The target's names of the key's columns, with their plans.
std::vector<const ColumnPlan*> key_of(const StagedLoad& load) {
    std::vector<const ColumnPlan*> key;
    for (const auto& name : load.target.info.key) key.push_back(load.shape.find(name));
    return key;
}

std::string same_value(const Column& column, const std::string& left, const std::string& right) {
    return fmt::format("{} = {}", comparable(column, left), comparable(column, right));
}

/// "T.`a` = S.`a` AND …", by the target's names on both sides.
std::string on_key(const StagedLoad& load, std::string_view left, std::string_view right) {
    std::string on;
    for (const auto* plan : key_of(load)) {
        auto name = quote_identifier(plan->column.name);
        on += (on.empty() ? "" : " AND ") +
              same_value(plan->column, fmt::format("{}.{}", left, name), fmt::format("{}.{}", right, name));
    }
    return on;
}

/// A staged column of the key's types, `S._penstock_from_0`, in the target's type.
std::string key_value(const ColumnPlan& plan, const std::string& name, const config::TypePolicies& policies) {
    ColumnPlan other = plan;
    other.source = name;
    return other.value(policies, "S");
}

/// Staged rows S under the target's names, with what was not sent put in from the target's rows O.
std::string complete_rows(const StagedLoad& load, const ChangeSet& changes, const std::string& where) {
    std::string list, joins;
    for (const auto& plan : load.shape.columns) {
        auto value = plan.value(load.policies);
        auto unsent = std::ranges::find(changes.unsent, &plan);
        if (unsent != changes.unsent.end())
            value = fmt::format("IF(SUBSTR(S.{}, {}, 1) = '1', O.{}, {})", staged_change::needs,
                                unsent - changes.unsent.begin() + 1, quote_identifier(plan.column.name), value);
        list += fmt::format("{} AS {}, ", value, quote_identifier(plan.column.name));
    }
    for (const auto& column : change_columns(load, changes))
        if (column.name != staged_change::needs && !column.name.starts_with("_penstock_from_"))
            list += fmt::format("S.{0} AS {0}, ", column.name);
    if (!changes.unsent.empty()) {
        size_t number = 0;
        for (const auto* plan : key_of(load)) {
            auto theirs = fmt::format("O.{}", quote_identifier(plan->column.name));
            joins += (number == 0 ? " LEFT JOIN " + load.into.quoted() + " AS O ON " : " AND ") +
                     same_value(plan->column, theirs, key_value(*plan, staged_change::from(number), load.policies));
            ++number;
        }
        joins += fmt::format(" AND {}", alive(load.target, "O."));
    }
    std::string conditions = where;
    if (load.marks_rejects)
        conditions += fmt::format("{}S.{} IS NULL", conditions.empty() ? "" : " AND ", reject_column);
    list.resize(list.size() - 2);
    return fmt::format("SELECT {} FROM {} AS S{}{}", list, load.staging.quoted(), joins,
                       conditions.empty() ? "" : " WHERE " + conditions);
}

std::string source_names(const StagedLoad& load, std::string_view prefix = {}) {
    std::vector<std::string> names;
    for (const auto& plan : load.shape.columns) names.push_back(plan.column.name);
    return quote_list(names, prefix);
}

/// Rows of a snapshot, or of a table that is built again, into a table without rows.
std::string insert_all(const StagedLoad& load, const ChangeSet& changes, const std::string& rows) {
    std::string names = fmt::format("{}, {}, {}", source_names(load), staged_change::position, flow::change::synced_at);
    std::string values = fmt::format("{}, S.{}, {}", source_names(load, "S."), staged_change::position, changes.synced);
    if (keeps_history(load)) {
        names += fmt::format(", {}", valid_from);
        values += fmt::format(", S.{}", staged_change::committed_at);
    }
    if (changes.marks) {
        names += fmt::format(", {}", flow::change::deleted);
        values += ", FALSE";
    }
    return fmt::format("INSERT INTO {} ({}) SELECT {} FROM ({}) AS S", load.into.quoted(), names, values, rows);
}

std::string merge(const StagedLoad& load, const ChangeSet& changes, size_t index) {
    bool soft = !hard(load);
    // A row whose missing values nobody has was left out of the part.
    std::string rows = rows_within(load, complete_rows(load, changes, ""), index);
    std::string own =
        fmt::format("{0} = S.{0}, {1} = {2}", staged_change::position, flow::change::synced_at, changes.synced);
    std::string set, names = source_names(load), values = source_names(load, "S.");
    auto key = key_of(load);
    for (const auto& plan : load.shape.columns)
        if (std::ranges::find(key, &plan) == key.end())
            set += fmt::format("{0} = S.{0}, ", quote_identifier(plan.column.name));
    names += fmt::format(", {}, {}", staged_change::position, flow::change::synced_at);
    values += fmt::format(", S.{}, {}", staged_change::position, changes.synced);
    set += own;
    if (changes.marks) {
        std::string deleted = soft ? fmt::format("S.{}", staged_change::deleted) : "FALSE";
        set += fmt::format(", {} = {}", flow::change::deleted, deleted);
        names += fmt::format(", {}", flow::change::deleted);
        values += ", " + deleted;
    }
    std::string on = on_key(load, "T", "S");
    if (load.prunes && index < load.partitions.size())
        on += fmt::format(" AND T.{} BETWEEN {} AND {}", quote_identifier(load.partition_column),
                          load.partitions[index].low, load.partitions[index].high);
    std::string gone = soft ? fmt::format("WHEN MATCHED AND S.{} = 'm' THEN UPDATE SET {}, {} = TRUE",
                                          staged_change::op, own, flow::change::deleted)
                            : fmt::format("WHEN MATCHED AND S.{} = 'd' THEN DELETE", staged_change::op);
    // What another piece of the same load has written is there.
    std::string ended =
        load.target.whole && soft
            ? fmt::format(
                  " WHEN NOT MATCHED BY SOURCE AND {} AND (T.{} = {}) IS NOT TRUE THEN UPDATE SET {} = {}, {} = "
                  "{}, {} = TRUE",
                  alive(load.target, "T."), flow::change::synced_at, changes.synced, staged_change::position,
                  changes.gone_at("T"), flow::change::synced_at, changes.synced, flow::change::deleted)
            : "";
    return fmt::format(
        "MERGE INTO {} AS T USING ({}) AS S ON {} {} WHEN MATCHED THEN UPDATE SET {} WHEN NOT MATCHED AND S.{} = 'w' "
        "THEN INSERT ({}) VALUES ({}){}",
        load.into.quoted(), rows, on, gone, set, staged_change::op, names, values, ended);
}

/// The first truncate after a row's position: of texts as `value` gives them.
std::string first_after(const ChangeSet& changes, const std::string& position, bool moment) {
    std::string cases;
    for (const auto& truncate : changes.truncates)
        cases += fmt::format(
            " WHEN COALESCE({}, '') < '{}' THEN {}", position, truncate.position,
            moment ? fmt::format("TIMESTAMP '{}'", truncate.committed_at) : fmt::format("'{}'", truncate.position));
    return fmt::format("CASE{} END", cases);
}

std::vector<std::string> history(const StagedLoad& load, const ChangeSet& changes) {
    std::vector<std::string> statements;
    std::string table = load.into.quoted();
    for (size_t i = 0; i < std::max<size_t>(load.partitions.size(), 1); ++i)
        statements.push_back(fmt::format(
            "INSERT INTO {} ({}, {}, {}, {}, {}, {}) SELECT {}, COALESCE(S.{}, S.{}), {}, S.{}, S.{}, S.{} IS NOT NULL "
            "FROM ({}) AS S",
            table, source_names(load), staged_change::position, flow::change::synced_at, valid_from, valid_to,
            flow::change::deleted, source_names(load, "S."), staged_change::end_position, staged_change::position,
            changes.synced, staged_change::committed_at, staged_change::ended_at, staged_change::end_position,
            rows_within(load, complete_rows(load, changes, fmt::format("S.{} <> 'd'", staged_change::op)), i)));
    std::string keys;
    for (const auto* plan : key_of(load))
        keys += fmt::format("{} AS {}, ", plan->value(load.policies), quote_identifier(plan->column.name));
    statements.push_back(fmt::format(
        "UPDATE {0} AS T SET {1} = E.{2}, {3} = (E.{4} = 'd'), {5} = IF(E.{4} = 'd', E.{5}, T.{5}), {6} = {7} FROM "
        "(SELECT {8}S.{4} AS {4}, S.{5} AS {5}, S.{2} AS {2} FROM {9} AS S WHERE S.{10}) AS E WHERE {11} AND T.{1} IS "
        "NULL AND COALESCE(T.{5}, '') < E.{5}",
        table, valid_to, staged_change::committed_at, flow::change::deleted, staged_change::op, staged_change::position,
        flow::change::synced_at, changes.synced, keys, load.staging.quoted(), staged_change::first,
        on_key(load, "T", "E")));
    return statements;
}

/// Takes away, marks or closes what the target had when it was truncated.
std::string truncate(const StagedLoad& load, const ChangeSet& changes) {
    std::string table = load.into.quoted(), last = changes.truncates.back().position;
    std::string before = fmt::format("COALESCE(T.{}, '') < '{}'", staged_change::position, last);
    if (hard(load)) return fmt::format("DELETE FROM {} AS T WHERE {}", table, before);
    std::string position = fmt::format("T.{}", staged_change::position);
    return fmt::format(
        "UPDATE {} AS T SET {} = {}, {} = {}, {} = TRUE{} WHERE {} AND {}", table, staged_change::position,
        first_after(changes, position, false), flow::change::synced_at, changes.synced, flow::change::deleted,
        keeps_history(load) ? fmt::format(", {} = {}", valid_to, first_after(changes, position, true)) : "",
        alive(load.target, "T."), before);
}

}  // namespace

bool hard(const StagedLoad& load) { return !keeps_history(load) && load.target.deletes == Deletes::hard; }

bool keeps_history(const StagedLoad& load) { return load.target.mode == Mode::history; }

std::string staged_change::from(size_t key_column) { return fmt::format("_penstock_from_{}", key_column); }

bool ChangeSet::resolves(const flow::TableTarget& target) const {
    if (rebuilds(target)) return false;
    if (target.whole) return !keyed || target.mode == Mode::history;
    return !keyed && deletes;
}

std::string ChangeSet::gone_at(std::string_view row) const {
    return whole_position.empty() ? fmt::format("{}.{}", row, staged_change::position) : whole_position;
}

std::string next_truncate(const ChangeSet& changes, const std::string& position, bool moment) {
    if (changes.truncates.empty()) return moment ? "CAST(NULL AS TIMESTAMP)" : "CAST(NULL AS STRING)";
    return first_after(changes, position, moment);
}

std::string staged_as_target(const StagedLoad& load, const ChangeSet& changes) {
    return complete_rows(load, changes, "");
}

std::vector<Column> change_columns(const StagedLoad& load, const ChangeSet& changes) {
    namespace name = staged_change;
    std::vector<Column> columns = {{.name = name::op, .type = "STRING"},
                                   {.name = name::position, .type = "STRING"},
                                   {.name = name::committed_at, .type = "TIMESTAMP"}};
    if (changes.snapshot || !changes.keyed || keeps_history(load)) {
        columns.push_back({.name = name::end_position, .type = "STRING"});
        columns.push_back({.name = name::ended_at, .type = "TIMESTAMP"});
    }
    if (keeps_history(load)) columns.push_back({.name = name::first, .type = "BOOL"});
    else columns.push_back({.name = name::deleted, .type = "BOOL"});
    if (changes.unsent.empty()) return columns;
    columns.push_back({.name = name::needs, .type = "STRING"});
    size_t number = 0;
    for (const auto* plan : key_of(load)) {
        auto column = staged(plan->incoming);
        column.name = name::from(number++);
        columns.push_back(std::move(column));
    }
    return columns;
}

std::string missing_rows_sql(const StagedLoad& load, const TableId& asked) {
    std::string on;
    size_t number = 0;
    for (const auto* plan : key_of(load))
        on += (on.empty() ? "" : " AND ") + same_value(plan->column,
                                                       fmt::format("T.{}", quote_identifier(plan->column.name)),
                                                       key_value(*plan, fmt::format("k{}", number++), load.policies));
    auto key = quote_identifier(key_of(load).front()->column.name);
    return fmt::format("SELECT S.penstock_n FROM {} AS S LEFT JOIN {} AS T ON {} AND {} WHERE T.{} IS NULL",
                       asked.quoted(), load.into.quoted(), on, alive(load.target, "T."), key);
}

std::optional<std::string> resolve_changes_sql(const StagedLoad& load, const ChangeSet& changes) {
    if (!changes.resolves(load.target) || (changes.snapshot && load.into_empty)) return std::nullopt;
    if (!load.target.whole) return remaining_rows_sql(load, changes);
    return changes.keyed ? changed_versions_sql(load, changes) : remaining_of_whole_sql(load, changes);
}

std::vector<std::string> apply_changes_sql(const StagedLoad& load, const ChangeSet& changes) {
    std::vector<std::string> statements;
    if (rebuilds(load.target)) statements.push_back("TRUNCATE TABLE " + load.into.quoted());
    bool into_empty = changes.snapshot && (load.into_empty || rebuilds(load.target));
    size_t pieces = std::max<size_t>(load.partitions.size(), 1);
    if (into_empty) {
        for (size_t i = 0; i < pieces && changes.staged; ++i)
            statements.push_back(insert_all(load, changes, rows_within(load, staged_as_target(load, changes), i)));
        return statements;
    }
    if (load.target.whole && (!changes.keyed || keeps_history(load))) {
        auto more = apply_whole_sql(load, changes);
        statements.insert(statements.end(), more.begin(), more.end());
    } else if (!changes.keyed) {
        auto more = apply_keyless_sql(load, changes);
        statements.insert(statements.end(), more.begin(), more.end());
    } else if (keeps_history(load)) {
        if (changes.staged) statements = history(load, changes);
    } else if (changes.staged || load.target.whole) {
        for (size_t i = 0; i < pieces; ++i) statements.push_back(merge(load, changes, i));
    }
    if (!changes.truncates.empty()) statements.push_back(truncate(load, changes));
    return statements;
}

}  // namespace penstock::bigquery
