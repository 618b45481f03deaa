#include "engine/changes/staged_changes.h"

#include <fmt/format.h>

#include "base/failpoint.h"
#include "engine/json_value.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::engine {
namespace {

namespace change = flow::change;

/// The columns of flow/change.h as a staged row has them; a snapshot's rows come without those that say nothing of them.
std::string change_columns(const ChangedPart& part) {
    bool whole = part.scan.schema().find(change::unchanged) >= 0;
    std::string list = fmt::format(", {}, {}, {}", quote_identifier(change::op), quote_identifier(change::position),
                                   quote_identifier(change::committed_at));
    list += fmt::format(", {} AS {}", whole ? quote_identifier(change::unchanged) : "''",
                        quote_identifier(change::unchanged));
    list += fmt::format(", {} AS {}", whole ? quote_identifier(change::identity) : "CAST(NULL AS BIGINT)",
                        quote_identifier(change::identity));
    for (size_t i = 0; i < part.key.size(); ++i) {
        std::string origin = quote_identifier(change::origin(i));
        list += fmt::format(", CAST({} AS {}) AS {}", whole ? origin : "NULL",
                            sql_type(part.find(part.target.info.key[i])->type), origin);
    }
    return list;
}

Error unknown_changes(const ChangedPart& part, int64_t count) {
    return {.kind = ErrorKind::internal,
            .code = "unknown_change",
            .message = fmt::format("{} changes of {} are of no known kind", count, part.target.info.name),
            .hint = "this is a fault of penstock: please report it with the run's log"};
}

std::vector<std::string> names_of(const ChangedPart& part) {
    std::vector<std::string> names;
    for (const auto& column : part.columns) names.push_back(column.name);
    return names;
}

}  // namespace

const ChangedColumn* ChangedPart::find(std::string_view source) const {
    for (const auto& column : columns)
        if (column.source == source) return &column;
    return nullptr;
}

std::string StagedChanges::columns(std::string_view prefix) const { return quote_list(names_of(part), prefix); }

std::string StagedChanges::keys(std::string_view prefix) const { return quote_list(key, prefix); }

std::string StagedChanges::on_key(std::string_view left, std::string_view right) const {
    std::string on;
    for (const auto& name : key)
        on += fmt::format("{}{}.{} = {}.{}", on.empty() ? "" : " AND ", left, quote_identifier(name), right,
                          quote_identifier(name));
    return on;
}

std::vector<ComparedColumn> StagedChanges::compared() const {
    std::vector<ComparedColumn> out;
    for (const auto& column : part.columns) out.push_back({.name = column.name, .type = column.type});
    return out;
}

std::string StagedChanges::truncates_table() const {
    return fmt::format("(SELECT {0} AS position, {1} AS committed_at FROM {2} WHERE {3} = 't')", change::position,
                       change::committed_at, staged_changes, change::op);
}

std::string StagedChanges::dated(const std::string& table, std::string_view alias) const {
    if (truncates == 0)
        return fmt::format(
            " FROM {} {} CROSS JOIN (SELECT CAST(NULL AS VARCHAR) AS position, CAST(NULL AS TIMESTAMPTZ) AS "
            "committed_at) X",
            table, alias);
    return fmt::format(" FROM {} {} ASOF LEFT JOIN {} X ON coalesce({}.{}, '') < X.position", table, alias,
                       truncates_table(), alias, change::position);
}

std::string StagedChanges::row_json(bool key_only) const {
    std::string members;
    for (const auto& column : part.columns) {
        if (key_only && std::ranges::find(key, column.name) == key.end()) continue;
        members += fmt::format("{}{}, {}", members.empty() ? "" : ", ", quote_literal(column.source),
                               json_value(column.type, quote_identifier(column.name)));
    }
    return fmt::format("CAST(json_object({}) AS VARCHAR)", members);
}

Result<StagedChanges> StagedChanges::stage(ChangedPart of) {
    StagedChanges changes(std::move(of));
    const auto& part = changes.part;
    PN_CHECK(changes.drop());
    std::string list;
    for (const auto& column : part.columns) {
        auto name = quote_identifier(column.name);
        list += list.empty() ? "" : ", ";
        list += column.value == name ? name : fmt::format("{} AS {}", column.value, name);
    }
    auto staged = changes.run(fmt::format("CREATE TEMP TABLE {} AS SELECT {}{} FROM {}", staged_changes, list,
                                          change_columns(part), part.scan.sql()));
    if (!staged) return fail(part.scan.original(std::move(staged.error())));
    PN_FAILPOINT(target_stage_after);
    PN_CHECK(changes.measure());
    PN_CHECK(changes.put_in_order());
    return changes;
}

/// One look at all rows: what a part has not need not be thought of further.
Status StagedChanges::measure() {
    PN_TRY(auto found, part.connection.query(fmt::format(
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
    if (int64_t unknown = found.number(0, 4); unknown > 0) return fail(unknown_changes(part, unknown));
    return {};
}

/// Windows without an order take the rows as they lie.
Result<bool> StagedChanges::in_order() {
    PN_TRY(auto found, part.connection.query(fmt::format(
                           "SELECT count(*) FROM (SELECT {0} < lag({0}) OVER () OR rowid < lag(rowid) OVER () AS back "
                           "FROM {1}) WHERE back",
                           change::position, staged_changes)));
    return found.number(0, 0) == 0;
}

/// The rows of a stream lie as one reader brought them. Where several did, they are laid down anew.
Status StagedChanges::put_in_order() {
    PN_TRY(bool ordered, in_order());
    if (ordered) return {};
    PN_CHECK(
        run(fmt::format("DROP TABLE IF EXISTS temp.main.penstock_in_order; CREATE TEMP TABLE penstock_in_order AS "
                        "SELECT * FROM {0} ORDER BY "
                        "{1}; DROP TABLE {0}; ALTER TABLE temp.main.penstock_in_order RENAME TO penstock_changes",
                        staged_changes, change::position)));
    PN_TRY(ordered, in_order());
    if (ordered) return {};
    return fail({.kind = ErrorKind::internal,
                 .code = "changes_unordered",
                 .message = fmt::format("changes of {} could not be put in order", part.target.info.name),
                 .hint = "this is a fault of penstock: please report it with the run's log"});
}

Status StagedChanges::drop() {
    PN_CHECK(run(fmt::format("DROP TABLE IF EXISTS {}; DROP TABLE IF EXISTS {}; DROP TABLE IF EXISTS {}",
                             staged_changes, winners, events)));
    return {};
}

Error unsent_without_key(const StagedChanges& changes) {
    return {.kind = ErrorKind::schema,
            .code = "unsent_without_key",
            .message =
                fmt::format("{} changes of {} left out values that had not changed, and the table has no key to find "
                            "them by",
                            changes.unsent, changes.part.target.info.name),
            .hint = "set REPLICA IDENTITY FULL on it, or give it a primary key"};
}

}  // namespace penstock::engine
