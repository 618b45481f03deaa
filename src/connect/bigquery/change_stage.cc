#include "connect/bigquery/change_stage.h"

#include <fmt/format.h>

#include <map>

#include "connect/bigquery/staged_values.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::bigquery {
namespace {

using engine::for_each_key;
using engine::StagedChanges;
using engine::UnsentValues;
namespace change = flow::change;

/// Of rows whose values are to come from the target: (identity, key as k0 …, its key there as f0 …, that key's number n).
constexpr const char* places = "temp.main.penstock_places";
/// Numbers of keys that the target has not.
constexpr const char* missing = "temp.main.penstock_missing";
constexpr const char* faulty = "temp.main.penstock_faulty";
/// More than these are not told one by one: the target's rows are older than the first of them.
constexpr size_t most_truncates = 100;

std::string no_value(const Column& column) {
    return fmt::format("CAST(NULL AS {})", column.type == "TIMESTAMP" ? "TIMESTAMPTZ"
                                           : column.type == "BOOL"    ? "BOOLEAN"
                                                                      : "VARCHAR");
}

using Given = std::map<std::string, std::string>;

/// What is not given is NULL.
std::vector<LocalStage::Extra> extras(const StagedLoad& load, const ChangeSet& changes, const Given& given) {
    std::vector<LocalStage::Extra> list;
    for (const auto& column : change_columns(load, changes)) {
        auto found = given.find(column.name);
        list.push_back({found == given.end() ? no_value(column) : found->second, column});
    }
    return list;
}

std::vector<engine::ChangedColumn> changed_columns(const StagedLoad& load) {
    std::vector<engine::ChangedColumn> columns;
    for (const auto& plan : load.shape.columns)
        columns.push_back({.field = plan.field,
                           .source = plan.source,
                           .name = plan.source,
                           .type = load.target.info.schema.fields[plan.field].type,
                           .value = engine::quote_identifier(plan.source)});
    return columns;
}

}  // namespace

Result<StagedFiles> ChangeStage::write_snapshot(flow::Scan& scan, ChangeSet& changes) {
    namespace name = staged_change;
    PN_TRY(auto staged, stage_.write(load_.target, load_.shape, scan, context_,
                                     extras(load_, changes,
                                            {{name::op, "'w'"},
                                             {name::position, engine::quote_identifier(change::position)},
                                             {name::committed_at, engine::quote_identifier(change::committed_at)},
                                             {name::deleted, "false"},
                                             {name::first, "true"}})));
    PN_TRY(auto newest,
           stage_.look(staged, fmt::format("max({}), CAST(max({}) AS VARCHAR)", name::position, name::committed_at)));
    bool any = !newest.empty() && newest.rows[0][0];
    changes.whole_position = any ? quote_literal(newest.text(0, 0)) : "";
    changes.whole_moment = any ? fmt::format("TIMESTAMP '{}'", newest.text(0, 1)) : changes.synced;
    return staged;
}

Result<StagedFiles> ChangeStage::write(engine::Database& database, flow::Scan& scan, ChangeSet& changes,
                                       flow::Counts& counts, const Ask& ask) {
    engine::LentScan lent(database, scan, load_.target.info.estimated_rows);
    PN_TRY(auto staged, StagedChanges::stage({.connection = connection_,
                                              .scan = lent,
                                              .target = load_.target,
                                              .context = context_,
                                              .columns = changed_columns(load_),
                                              .key = load_.target.info.key}));
    PN_TRY(int64_t left_out, take_out_faults(staged));
    PN_CHECK(note_truncates(staged, changes));
    auto files = changes.keyed ? write_keyed(staged, changes, counts, ask) : write_keyless(staged, changes, counts);
    if (!files) return files;
    counts.rows_read = lent.rows();
    counts.rows_filtered += left_out;
    PN_CHECK(staged.drop());
    return files;
}

/// Changes that BigQuery cannot hold go to the rejects before they are coalesced: older ones of their keys then count. What a delete
/// by key holds beside it does not matter; a delete of a row that cannot be there is left out.
Result<int64_t> ChangeStage::take_out_faults(StagedChanges& staged) {
    auto marks = stage_.marks_of(load_.target, load_.shape);
    if (marks.sql.empty()) return 0;
    bool keyed = !staged.key.empty();
    PN_CHECK(staged.run(fmt::format(
        "CREATE OR REPLACE TEMP TABLE penstock_faulty AS SELECT * FROM (SELECT rowid AS id, {0} AS op, {1} AS "
        "position, {2} AS mark FROM {3} WHERE {0} <> 't'{4}) WHERE mark IS NOT NULL",
        change::op, change::position, marks.sql, engine::staged_changes,
        keyed ? fmt::format(" AND {} <> 'd'", change::op) : "")));
    PN_TRY(auto rows, connection_.query(fmt::format("SELECT op = 'd', position, mark FROM {}", faulty)));
    if (rows.empty()) return 0;
    int64_t deletes = 0;
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        if (rows.text(i, 0) == "true") ++deletes;
        else PN_CHECK(stage_.reject(load_.target, marks, rows.text(i, 2), rows.text(i, 1), context_));
    }
    PN_CHECK(staged.run(fmt::format("DELETE FROM {} WHERE rowid IN (SELECT id FROM {}); DROP TABLE {}",
                                    engine::staged_changes, faulty, faulty)));
    PN_CHECK(staged.measure());
    return deletes;
}

Status ChangeStage::note_truncates(const StagedChanges& staged, ChangeSet& changes) {
    if (staged.truncates == 0) return {};
    PN_TRY(auto rows, connection_.query(fmt::format("SELECT position, CAST(committed_at AS VARCHAR) FROM {} ORDER BY 1",
                                                    staged.truncates_table())));
    bool hard = !keeps_history() && !keeps_deleted();
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        bool last = i + 1 == rows.rows.size();
        if (last || (!hard && i + 1 < most_truncates)) changes.truncates.push_back({rows.text(i, 0), rows.text(i, 1)});
    }
    return {};
}

/// What was not sent, from the part itself; where the part does not tell, the target has to have the row: it is asked.
Result<UnsentValues> ChangeStage::complete(StagedChanges& staged, const std::string& wanted, const Ask& ask) {
    PN_TRY(auto values, UnsentValues::find(staged, wanted));
    if (!values.any()) return values;
    size_t keys = staged.key.size();
    auto theirs = for_each_key(keys, ", ", [](size_t i) {
        return fmt::format("CASE WHEN R.identity IS NULL THEN R.k{0} ELSE O.k{0} END AS f{0}", i);
    });
    auto ours = for_each_key(keys, ", ", [](size_t i) { return fmt::format("R.k{}", i); });
    auto order = for_each_key(keys, ", ", [](size_t i) { return fmt::format("f{}", i); });
    PN_CHECK(staged.run(fmt::format(
        "CREATE OR REPLACE TEMP TABLE penstock_places AS SELECT *, dense_rank() OVER (ORDER BY {0}) AS n FROM (SELECT "
        "DISTINCT R.identity, {1}, {2} FROM {3} R LEFT JOIN (SELECT {4} AS identity, {5} FROM {6} WHERE {4} IS NOT "
        "NULL GROUP BY {4}) O ON O.identity = R.identity WHERE {7})",
        order, ours, theirs, UnsentValues::sources, change::identity, values.origins(), engine::staged_changes,
        values.missing())));
    std::string select = "DISTINCT n AS penstock_n";
    std::vector<Column> columns = {{.name = "penstock_n", .type = "INT64"}};
    for (size_t i = 0; i < keys; ++i) {
        const auto* plan = load_.shape.find(staged.key[i]);
        columns.push_back(bigquery::staged(plan->incoming));
        columns.back().name = fmt::format("k{}", i);
        select += fmt::format(", {} AS k{}",
                              stage_sql(load_.target.info.schema.fields[plan->field].type, plan->incoming,
                                        fmt::format("f{}", i), load_.policies),
                              i);
    }
    PN_TRY(auto asked, stage_.write_rows(fmt::format("SELECT {} FROM {}", select, places), columns));
    std::string unknown;
    needs_target_ = asked.rows > 0;
    if (needs_target_) {
        PN_TRY(auto numbers, ask(asked));
        for (int64_t number : numbers) unknown += fmt::format("{}{}", unknown.empty() ? "" : ", ", number);
    }
    PN_CHECK(staged.run(fmt::format(
        "CREATE OR REPLACE TEMP TABLE penstock_missing AS SELECT unnest(CAST([{}] AS BIGINT[])) AS n", unknown)));
    auto nothing = [](const engine::ChangedColumn& column) {
        return fmt::format("CAST(NULL AS {})", engine::sql_type(column.type));
    };
    std::string more =
        ", " + for_each_key(keys, ", ", [](size_t i) { return fmt::format("G.f{0} AS penstock_from_{0}", i); });
    PN_CHECK(values.complete({.joins = fmt::format(" LEFT JOIN {} G ON {} LEFT JOIN {} M ON M.n = G.n", places,
                                                   values.same_row("R", "G"), missing),
                              .found = "G.n IS NOT NULL AND M.n IS NULL",
                              .value = nothing,
                              .more = more}));
    PN_CHECK(staged.run(fmt::format("DROP TABLE {}; DROP TABLE {}", places, missing)));
    return values;
}

Result<StagedFiles> ChangeStage::export_rows(const ChangeSet& changes, const std::string& from,
                                             const std::vector<std::pair<std::string, std::string>>& own) {
    std::string list;
    std::vector<Column> columns;
    for (const auto& plan : load_.shape.columns) {
        auto name = engine::quote_identifier(plan.source);
        list += fmt::format(
            "{}{} AS {}", list.empty() ? "" : ", ",
            stage_sql(load_.target.info.schema.fields[plan.field].type, plan.incoming, name, load_.policies), name);
        columns.push_back(staged(plan.incoming));
    }
    for (auto& [sql, column] : extras(load_, changes, Given(own.begin(), own.end()))) {
        list += fmt::format(", {} AS {}", sql, engine::quote_identifier(column.name));
        columns.push_back(column);
    }
    return stage_.write_rows(fmt::format("SELECT {} FROM ({})", list, from), columns);
}

Result<StagedFiles> ChangeStage::write_keyed(StagedChanges& staged, ChangeSet& changes, flow::Counts& counts,
                                             const Ask& ask) {
    namespace name = staged_change;
    bool history = keeps_history(), soft = keeps_deleted();
    auto values = UnsentValues::none(staged);
    if (!history) PN_CHECK(engine::find_winners(staged, soft));
    if (staged.unsent > 0) {
        std::string wanted = history ? fmt::format("SELECT rowid AS id FROM {} WHERE {} <> ''", engine::staged_changes,
                                                   change::unchanged)
                                     : engine::unsent_winners(soft);
        PN_TRY(values, complete(staged, wanted, ask));
        if (needs_target_)
            for (const auto* column : values.unsent()) changes.unsent.push_back(load_.shape.find(column->source));
    }
    std::string more;
    std::vector<std::pair<std::string, std::string>> own;
    if (needs_target_) {
        more = fmt::format(", {} AS penstock_needs", values.needs());
        own.emplace_back(name::needs, "coalesce(penstock_needs, '')");
        for (size_t i = 0; i < staged.key.size(); ++i) {
            more += fmt::format(", U.penstock_from_{0} AS penstock_from_{0}", i);
            const auto* plan = load_.shape.find(staged.key[i]);
            own.emplace_back(name::from(i), stage_sql(load_.target.info.schema.fields[plan->field].type, plan->incoming,
                                                      fmt::format("penstock_from_{}", i), load_.policies));
        }
    }
    std::string rows = fmt::format("SELECT S.rowid AS penstock_id, {}{} FROM {} S{}", values.columns(), more,
                                   engine::staged_changes, values.join());
    own.emplace_back(name::position, "penstock_position");
    if (history) {
        std::string among =
            values.lost > 0 ? fmt::format("rowid NOT IN (SELECT id FROM {})", UnsentValues::lost_rows) : "true";
        PN_CHECK(engine::chain_events(staged, among));
        PN_TRY(auto found, connection_.query(fmt::format("SELECT count(*), count(*) FILTER (penstock_op = 'd') FROM {}",
                                                         engine::events)));
        counts.rows_deleted = found.number(0, 1);
        counts.rows_written = found.number(0, 0) + staged.truncates;
        counts.rows_filtered = staged.rows - counts.rows_written - values.lost;
        const char* ends = "coalesce(penstock_next_op IN ('d', 't'), false)";
        std::string first = "penstock_first";
        if (!changes.truncates.empty())
            first += fmt::format(" AND penstock_position < '{}'", changes.truncates.front().position);
        own.insert(own.end(), {{name::op, "penstock_op"},
                               {name::committed_at, "penstock_committed_at"},
                               {name::ended_at, "penstock_next_committed_at"},
                               {name::end_position, fmt::format("CASE WHEN {} THEN penstock_next_position END", ends)},
                               {name::first, first}});
        rows = fmt::format(
            "SELECT V.*, E.* EXCLUDE (penstock_id, {}) FROM {} E JOIN ({}) V ON V.penstock_id = "
            "E.penstock_id WHERE E.penstock_op <> 'd' OR E.penstock_first",
            staged.keys(), engine::events, rows);
    } else {
        if (values.lost > 0) PN_CHECK(engine::leave_out_lost_winners(staged, UnsentValues::lost_rows));
        PN_TRY(counts, engine::count_winners(staged, soft, values.lost));
        own.insert(own.end(), {{name::op, soft ? "CASE WHEN penstock_content IS NULL THEN 'm' ELSE 'w' END"
                                               : "CASE WHEN penstock_deleted THEN 'd' ELSE 'w' END"},
                               {name::deleted, "penstock_deleted"}});
        rows =
            fmt::format("SELECT W.*, V.* EXCLUDE (penstock_id, {}) FROM {} W LEFT JOIN ({}) V ON V.penstock_id = {}",
                        staged.keys(), engine::winners, rows,
                        soft ? "W.penstock_content" : "CASE WHEN NOT W.penstock_deleted THEN W.penstock_content END");
    }
    auto files = export_rows(changes, rows, own);
    PN_CHECK(values.drop());
    return files;
}

Result<StagedFiles> ChangeStage::write_keyless(StagedChanges& staged, ChangeSet& changes, flow::Counts& counts) {
    namespace name = staged_change;
    if (staged.unsent > 0) return fail(engine::unsent_without_key(staged));
    bool hard = !keeps_history() && !keeps_deleted();
    std::string among = fmt::format("S.{} <> 't'", change::op);
    // What came before the last truncate leaves no trace where nothing stays.
    if (hard && staged.truncates > 0) among += fmt::format(" AND S.{} > {}", change::position, staged.last_truncate);
    PN_TRY(auto found, connection_.query(fmt::format("SELECT count(*), count(*) FILTER (S.{} = 'd') FROM {} S WHERE {}",
                                                     change::op, engine::staged_changes, among)));
    counts.rows_deleted = found.number(0, 1);
    changes.deletes = counts.rows_deleted > 0;
    counts.rows_written = found.number(0, 0) + (hard ? std::min<int64_t>(staged.truncates, 1) : staged.truncates);
    counts.rows_filtered = staged.rows - counts.rows_written;
    std::string rows = fmt::format(
        "SELECT {}, S.{} AS penstock_op, S.{} AS penstock_position, S.{} AS penstock_at, "
        "X.position AS penstock_end, X.committed_at AS penstock_end_at{} WHERE {}",
        staged.columns("S."), change::op, change::position, change::committed_at,
        staged.dated(engine::staged_changes, "S"), among);
    return export_rows(changes, rows,
                       {{name::op, "penstock_op"},
                        {name::position, "penstock_position"},
                        {name::committed_at, "penstock_at"},
                        {name::end_position, "penstock_end"},
                        {name::ended_at, "penstock_end_at"}});
}

}  // namespace penstock::bigquery
