#include "connect/bigquery/publish_sql.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace penstock::bigquery {
namespace {

using flow::Mode;

constexpr const char* row_column = "penstock_row";

std::vector<std::string> names_of(const Shape& shape) {
    std::vector<std::string> names;
    for (const auto& column : shape.columns) names.push_back(column.column.name);
    return names;
}

/// A key's columns, by the target's names, as expressions of a row to compare or to partition by.
std::vector<std::string> comparables(const StagedLoad& load, const std::vector<std::string>& names,
                                     std::string_view row) {
    std::vector<std::string> values;
    for (const auto& name : names) {
        auto plan = std::ranges::find(load.shape.columns, name, [](const auto& c) { return c.column.name; });
        auto value = fmt::format("{}.`{}`", row, name);
        values.push_back(plan == load.shape.columns.end() ? value : comparable(plan->column, value));
    }
    return values;
}

std::string join_on(const StagedLoad& load, const std::vector<std::string>& names, std::string_view left = "T",
                    std::string_view right = "S") {
    std::string on;
    auto ours = comparables(load, names, left), theirs = comparables(load, names, right);
    for (size_t i = 0; i < names.size(); ++i)
        on += fmt::format("{}{} = {}", on.empty() ? "" : " AND ", ours[i], theirs[i]);
    return on;
}

std::string moment(TimePoint at) { return fmt::format("TIMESTAMP_MICROS({})", at.time_since_epoch().count()); }

/// A row as text that two rows share exactly when all their values are the same: TO_JSON_STRING tells -0.0 from 0.0 and keeps
/// every digit. `old_only`: the columns that rows in the target had before this load.
std::string row_text(const StagedLoad& load, std::string_view from, bool old_only) {
    std::string fields;
    for (const auto& column : load.shape.columns)
        if (!old_only || !column.fresh)
            fields += fmt::format("{0}{1}.`{2}` AS `{2}`", fields.empty() ? "" : ", ", from, column.column.name);
    return fmt::format("TO_JSON_STRING(STRUCT({}))", fields);
}

Result<std::string> new_rows_sql(const StagedLoad& load) {
    PN_TRY(auto cursor, load.shape.names_of({load.target.info.cursor}));
    std::string name = quote_identifier(cursor.front());
    std::string reach = load.cursor ? fmt::format("T.{0} >= {1} OR T.{0} IS NULL", name, load.cursor->low) : "TRUE";
    std::string staged_text = row_text(load, "R", true), there_text = row_text(load, "T", true);
    std::string staged = fmt::format(
        "SELECT R.*, {0} AS {1}, ROW_NUMBER() OVER (PARTITION BY {0}) AS penstock_occurrence FROM ({2}) AS R",
        staged_text, row_column, staged_rows_sql(load));
    std::string there = fmt::format(
        "SELECT {0} AS {1}, ROW_NUMBER() OVER (PARTITION BY {0}) AS penstock_occurrence FROM {2} AS T WHERE {3}",
        there_text, row_column, load.into.quoted(), reach);
    return fmt::format(
        "SELECT {0} FROM ({1}) AS S LEFT JOIN ({2}) AS H ON H.{3} = S.{3} AND H.penstock_occurrence = "
        "S.penstock_occurrence WHERE "
        "H.{3} IS NULL",
        quote_list(names_of(load.shape), "S."), staged, there, row_column);
}

/// Rows whose value of TableTarget::known_by is new: to the target, and the first of the load.
Result<std::string> unknown_rows_sql(const StagedLoad& load) {
    PN_TRY(auto column, load.shape.names_of({load.target.known_by}));
    std::string name = quote_identifier(column.front());
    std::string numbered =
        fmt::format("SELECT R.*, ROW_NUMBER() OVER (PARTITION BY R.{}) AS penstock_occurrence FROM ({}) AS R", name,
                    staged_rows_sql(load));
    std::string there =
        fmt::format(" AND NOT EXISTS (SELECT 1 FROM {0} AS T WHERE T.{1} = S.{1})", load.into.quoted(), name);
    return fmt::format("SELECT {} FROM ({}) AS S WHERE S.penstock_occurrence = 1{}",
                       quote_list(names_of(load.shape), "S."), numbered, load.into_empty ? "" : there);
}

/// A condition on S and T of one key: S must not replace T; "" where that cannot be. See Staging of the other databases: a key
/// that is not the source's primary key may be several rows' of the source, of which the newest stays; a rejected row without
/// primary key replaces only what is older.
std::string outdated(const StagedLoad& load, const std::vector<std::string>& key) {
    const auto& info = load.target.info;
    const auto* cursor = load.shape.find(info.cursor);
    std::string at = cursor == nullptr ? "" : quote_identifier(cursor->column.name);
    if (info.key.empty()) {
        if (load.target.replays.empty()) return "";
        return at.empty() ? "TRUE" : fmt::format("(S.{0} > T.{0}) IS NOT TRUE", at);
    }
    auto primary = load.shape.names_of(info.key);
    if (!info.key_is_unique || at.empty() || !primary) return "";
    if (std::ranges::all_of(*primary, [&](const auto& name) { return std::ranges::find(key, name) != key.end(); }))
        return "";
    return fmt::format("NOT ({0}) AND T.{1} IS NOT NULL AND (S.{1} IS NULL OR S.{1} < T.{1})",
                       join_on(load, *primary, "S", "T"), at);
}

/// Rows that neither update_when nor a newer row in the target keeps out.
std::string wanted_rows_sql(const StagedLoad& load, const std::vector<std::string>& key, const std::string& among) {
    std::string not_wanted = outdated(load, key);
    if (!load.target.update_when.empty())
        not_wanted +=
            fmt::format("{}NOT COALESCE(({}), FALSE)", not_wanted.empty() ? "" : ") OR (", load.target.update_when);
    std::string rows = staged_rows_sql(load);
    if (not_wanted.empty()) return rows;
    return fmt::format("SELECT S.* FROM ({}) AS S WHERE NOT EXISTS (SELECT 1 FROM {} AS T WHERE {} AND (({})){})", rows,
                       load.into.quoted(), join_on(load, key), not_wanted, among);
}

bool is_time(const Column& column) {
    return !column.repeated && (column.type == "TIMESTAMP" || column.type == "DATETIME" || column.type == "DATE");
}

/// When a row's version begins: at its cursor if that is a time, else when the load began.
std::string begins(const StagedLoad& load, std::string_view row) {
    const auto* cursor = load.shape.find(load.target.info.cursor);
    if (cursor == nullptr || !is_time(cursor->column)) return moment(load.began);
    return fmt::format("COALESCE(CAST({}.`{}` AS TIMESTAMP), {})", row, cursor->column.name, moment(load.began));
}

/// Type 2 history. A row that came opens a version when it differs from the one before it, be that the current version in the
/// target or an older row of the same load. One that is not newer than the current version is either an old acquaintance and
/// is left out, or, if it is the newest of its load, the source's present truth with a cursor that did not advance.
std::string versions_sql(const StagedLoad& load, const std::vector<std::string>& key) {
    auto columns = quote_list(names_of(load.shape));
    auto keys = fmt::format("{}", fmt::join(comparables(load, key, "S"), ", "));
    std::string current = fmt::format(" AND T.{} IS NULL", valid_to);
    bool nothing_there = load.into_empty || rebuilds(load.target);
    std::string rows = fmt::format("SELECT R.*, {} AS penstock_at, {} AS {} FROM ({}) AS R", begins(load, "R"),
                                   row_text(load, "R", false), row_column,
                                   nothing_there ? staged_rows_sql(load) : wanted_rows_sql(load, key, current));
    std::string there =
        fmt::format("SELECT {}, T.{} AS penstock_since, T.{} AS penstock_until, {} AS {} FROM {} AS T{}",
                    quote_list(key, "T."), valid_from, valid_to, row_text(load, "T", false), row_column,
                    load.into.quoted(), nothing_there ? " WHERE FALSE" : "");
    std::string placed = fmt::format(
        "SELECT S.*, ROW_NUMBER() OVER (PARTITION BY {0} ORDER BY S.penstock_at DESC) = 1 AS penstock_newest, EXISTS "
        "(SELECT 1 FROM "
        "there AS K WHERE {1} AND K.{2} = S.{2} AND K.penstock_since = S.penstock_at) AS penstock_known FROM came AS S",
        keys, join_on(load, key, "K"), row_column);
    std::string wanted = fmt::format(
        "SELECT S.*, CASE WHEN C.penstock_since IS NULL OR S.penstock_at > C.penstock_since THEN S.penstock_at ELSE "
        "GREATEST({0}, "
        "TIMESTAMP_ADD(C.penstock_since, INTERVAL 1 MICROSECOND)) END AS penstock_from, C.penstock_since IS NOT NULL "
        "AND C.{1} = "
        "S.{1} AS penstock_same FROM placed AS S LEFT JOIN (SELECT * FROM there WHERE penstock_until IS NULL) AS C ON "
        "{2} WHERE "
        "C.penstock_since IS NULL OR S.penstock_at > C.penstock_since OR (S.penstock_newest AND NOT S.penstock_known)",
        moment(load.began), row_column, join_on(load, key, "C"));
    std::string chained = fmt::format(
        "SELECT *, COALESCE({0} = LAG({0}) OVER (PARTITION BY {1} ORDER BY penstock_from), penstock_same) AS "
        "penstock_repeats FROM "
        "wanted AS S",
        row_column, keys);
    return fmt::format(
        "WITH there AS ({}), came AS ({}), placed AS ({}), wanted AS ({}), chained AS ({}) SELECT {}, penstock_from AS "
        "{}, "
        "LEAD(penstock_from) OVER (PARTITION BY {} ORDER BY penstock_from) AS {} FROM chained AS S WHERE NOT "
        "penstock_repeats",
        there, rows, placed, wanted, chained, columns, valid_from, keys, valid_to);
}

std::string within(const StagedLoad& load, std::string_view row, const LocalStage::Range& range) {
    return fmt::format("{}.`{}` BETWEEN {} AND {}", row, load.partition_column, range.low, range.high);
}

std::string merge_sql(const StagedLoad& load, const std::vector<std::string>& key, const std::string& rows,
                      const LocalStage::Range* range) {
    std::string set, names = quote_list(names_of(load.shape));
    for (const auto& column : load.shape.columns) {
        const auto& name = column.column.name;
        if (std::ranges::find(key, name) == key.end())
            set += fmt::format("{0}`{1}` = S.`{1}`", set.empty() ? "" : ", ", name);
    }
    std::string on = join_on(load, key);
    if (load.prunes && range != nullptr) on += " AND " + within(load, "T", *range);
    return fmt::format("MERGE INTO {} AS T USING ({}) AS S ON {}{} WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
                       load.into.quoted(), rows, on, set.empty() ? "" : " WHEN MATCHED THEN UPDATE SET " + set, names,
                       quote_list(names_of(load.shape), "S."));
}

}  // namespace

std::string rows_within(const StagedLoad& load, const std::string& rows, size_t index) {
    if (load.partitions.size() < 2) return rows;
    std::string null = index == 0 ? fmt::format(" OR R.`{}` IS NULL", load.partition_column) : "";
    return fmt::format("SELECT * FROM ({}) AS R WHERE {}{}", rows, within(load, "R", load.partitions[index]), null);
}

std::string make_ready(const StagedLoad& load, const std::string& select) {
    return fmt::format(
        "CREATE OR REPLACE TABLE {} OPTIONS (expiration_timestamp = {}, labels = [('penstock_staging', {})]) AS {}",
        load.ready.quoted(), moment(load.ready_expires), quote_literal(load.label), select);
}

std::string staged_rows_sql(const StagedLoad& load) {
    std::string list;
    for (const auto& column : load.shape.columns)
        list += fmt::format("{}{} AS `{}`", list.empty() ? "" : ", ", column.value(load.policies), column.column.name);
    return fmt::format("SELECT {} FROM {} AS S{}", list, load.staging.quoted(),
                       load.marks_rejects ? fmt::format(" WHERE S.`{}` IS NULL", reject_column) : "");
}

bool prunes(const flow::TableTarget& target, const Shape& shape, const std::string& partition_column) {
    if (target.mode != Mode::merge || partition_column.empty()) return false;
    auto key = shape.names_of(target.key);
    return key && std::ranges::any_of(*key, [&](const auto& name) { return same_name(name, partition_column); });
}

Result<std::optional<std::string>> resolve_sql(const StagedLoad& load) {
    std::optional<std::string> nothing;
    switch (load.target.mode) {
        case Mode::replace: return nothing;
        case Mode::append: {
            bool by_column = !load.target.known_by.empty();
            if (!by_column && (!load.rereads || load.into_empty)) return nothing;
            PN_TRY(auto rows, by_column ? unknown_rows_sql(load) : new_rows_sql(load));
            return std::optional(make_ready(load, rows));
        }
        case Mode::merge: {
            PN_TRY(auto key, load.shape.names_of(load.target.key));
            bool asks = !load.target.update_when.empty() || !outdated(load, key).empty();
            if (load.into_empty || rebuilds(load.target) || !asks) return nothing;
            return std::optional(make_ready(load, wanted_rows_sql(load, key, "")));
        }
        case Mode::history: {
            PN_TRY(auto key, load.shape.names_of(load.target.key));
            return std::optional(make_ready(load, versions_sql(load, key)));
        }
    }
    return nothing;
}

Result<std::vector<std::string>> publish_sql(const StagedLoad& load, bool resolved) {
    auto names = quote_list(names_of(load.shape));
    std::string rows = resolved ? fmt::format("SELECT {} FROM {}", names, load.ready.quoted()) : staged_rows_sql(load);
    std::vector<std::string> statements;
    if (rebuilds(load.target)) statements.push_back("TRUNCATE TABLE " + load.into.quoted());
    bool empty = load.into_empty || rebuilds(load.target);
    std::vector<std::string> key;
    if (load.target.mode == Mode::merge || load.target.mode == Mode::history) {
        PN_TRY(key, load.shape.names_of(load.target.key));
    }
    switch (load.target.mode) {
        case Mode::append:
        case Mode::replace:
        case Mode::merge:
            for (size_t i = 0; i < std::max<size_t>(load.partitions.size(), 1); ++i) {
                std::string part = rows_within(load, rows, i);
                const auto* range = i < load.partitions.size() ? &load.partitions[i] : nullptr;
                bool inserts = empty || load.target.mode != Mode::merge;
                statements.push_back(inserts ? fmt::format("INSERT INTO {} ({}) {}", load.into.quoted(), names, part)
                                             : merge_sql(load, key, part, range));
            }
            break;
        case Mode::history: {
            std::string validity = fmt::format("{}, {}", valid_from, valid_to);
            if (!empty)
                statements.push_back(
                    fmt::format("UPDATE {0} AS T SET {1} = V.penstock_first FROM (SELECT {2}, MIN({3}) AS "
                                "penstock_first FROM {4} GROUP BY {2}) AS "
                                "V WHERE {5} AND T.{1} IS NULL",
                                load.into.quoted(), valid_to, quote_list(key), valid_from, load.ready.quoted(),
                                join_on(load, key, "T", "V")));
            statements.push_back(fmt::format("INSERT INTO {0} ({1}, {2}) SELECT {1}, {2} FROM {3}", load.into.quoted(),
                                             names, validity, load.ready.quoted()));
            break;
        }
    }
    return statements;
}

}  // namespace penstock::bigquery
