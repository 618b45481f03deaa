#include "app/whereabouts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "app/compared_columns.h"
#include "app/run_history.h"
#include "config/suggest.h"
#include "flow/change.h"
#include "verify/dialect.h"

namespace penstock::app {
namespace {

using Key = std::vector<std::pair<std::string, std::string>>;

/// A table of a pipeline's target.
struct Written {
    Pipeline pipeline;
    flow::BatchRecord batch;
};

Result<Written> find_written(const config::Document& document, const std::string& table, const std::string& wanted) {
    PN_TRY(auto pipelines,
           select_pipelines(document, wanted.empty() ? std::vector<std::string>() : std::vector{wanted}));
    std::vector<Written> found;
    std::vector<std::string> known;
    for (const auto& pipeline : pipelines) {
        PN_TRY(auto ledger, pipeline.open_ledger());
        if (ledger == nullptr) continue;
        PN_TRY(auto batches, ledger->checkpoints(pipeline.name()));
        for (auto& batch : batches) {
            if (batch.source == flow::stream_row) continue;
            known.push_back(batch.target);
            if (batch.target == table || batch.source == table) found.push_back({pipeline, std::move(batch)});
        }
    }
    if (found.size() == 1) return std::move(found.front());
    if (found.empty())
        return fail(
            {.kind = ErrorKind::usage,
             .code = "unknown_table",
             .message = fmt::format("no run has written a table '{}'{}", table, config::did_you_mean(table, known)),
             .hint = known.empty() ? "run a pipeline first" : fmt::format("known are {}", fmt::join(known, ", "))});
    std::vector<std::string> names;
    for (const auto& one : found) names.push_back(one.pipeline.name());
    return fail({.kind = ErrorKind::usage,
                 .code = "several_pipelines",
                 .message = fmt::format("{} is written by several pipelines: {}", table, fmt::join(names, ", ")),
                 .hint = "choose one with --pipeline"});
}

/// By the texts of its columns, under any case of their names.
Result<std::string> condition_for(const flow::ComparedTable& table, const Key& key) {
    const auto& sql = verify::dialect_named(table.dialect);
    std::string out;
    std::vector<std::string> names;
    for (const auto& column : table.columns) names.push_back(column.name);
    for (const auto& [name, value] : key) {
        auto column = std::ranges::find(table.columns, name, &flow::ComparedColumn::name);
        if (column == table.columns.end() || column->text.empty())
            return fail(
                {.kind = ErrorKind::usage,
                 .code = "no_such_column",
                 .message = fmt::format("the table has no column '{}'{}", name, config::did_you_mean(name, names)),
                 .hint = fmt::format("its columns: {}", fmt::join(names, ", "))});
        out += fmt::format("{}{} = {}", out.empty() ? "" : " AND ", column->text, sql.literal(value));
    }
    return out;
}

constexpr int most_shown_rows = 20;

Result<std::vector<NamedValues>> rows_of(const flow::ComparedTable& table, const std::string& condition) {
    std::string texts;
    std::vector<const flow::ComparedColumn*> columns;
    for (const auto& column : table.columns) {
        if (column.text.empty()) continue;
        columns.push_back(&column);
        texts += (texts.empty() ? "" : ", ") + column.text;
    }
    PN_TRY(auto answer, table.ask(fmt::format("SELECT {} FROM {} WHERE {} LIMIT {}", texts, table.from, condition,
                                              most_shown_rows)));
    std::vector<NamedValues> rows;
    for (auto& row : answer) {
        NamedValues named;
        for (size_t i = 0; i < columns.size(); ++i) {
            if (row[i]) row[i] = verify::shown(*row[i], columns[i]->type);
            named.emplace_back(columns[i]->name, std::move(row[i]));
        }
        rows.push_back(std::move(named));
    }
    return rows;
}

std::optional<std::string> value_of(const NamedValues& row, std::string_view name) {
    for (const auto& [column, value] : row)
        if (column == name) return value;
    return std::nullopt;
}

/// Oldest first. Where the target can be asked, all of them; else the newest alone.
Result<std::vector<CommittedBatch>> batches_of(flow::Ledger& ledger, const flow::BatchRecord& newest) {
    std::vector<CommittedBatch> out;
    std::optional<flow::AskedTable> kept;
    if (ledger.checked() != nullptr) {
        PN_TRY(kept, ledger.checked()->asked("penstock.pipeline_metadata"));
    }
    if (!kept) {
        const auto& at = newest.checkpoint;
        out.push_back({newest.run_id, std::to_string(newest.batch), at.cursor_from, at.cursor_to, moment(at.read_at),
                       moment(newest.committed_at)});
        return out;
    }
    const auto& sql = verify::dialect_named(kept->dialect);
    auto text = [&](const char* column) { return sql.text(sql.identifier(column)); };
    PN_TRY(auto rows,
           kept->ask(fmt::format("SELECT run_id, {}, cursor_from, cursor_to, {}, {} FROM {} WHERE pipeline = {} AND "
                                 "{} = {} AND target = {} ORDER BY batch",
                                 text("batch"), text("read_at"), text("committed_at"), kept->name,
                                 sql.literal(newest.pipeline), sql.identifier("table"), sql.literal(newest.source),
                                 sql.literal(newest.target))));
    for (auto& row : rows)
        out.push_back({row[0].value_or(""), row[1].value_or(""), row[2].value_or(""), row[3].value_or(""),
                       row[4].value_or(""), row[5].value_or("")});
    return out;
}

/// Numbers by their value, times (all in UTC and one style) by their text.
bool not_above(const std::string& value, const std::string& bound) {
    int64_t a = 0, b = 0;
    auto whole = [](const std::string& text, int64_t& into) {
        auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
        return failed == std::errc() && stop == text.data() + text.size();
    };
    if (whole(value, a) && whole(bound, b)) return a <= b;
    return value <= bound;
}

/// The first batch that had got as far as the row.
void find_batch(Whereabouts& row, const std::vector<CommittedBatch>& batches, const flow::TableTarget& target) {
    if (batches.empty() || row.rows.empty()) return;
    const auto& values = row.rows.back();
    auto choose = [&](const std::string& mark, std::string CommittedBatch::* until, std::string how) {
        auto found = std::ranges::find_if(batches, [&](const auto& one) { return not_above(mark, one.*until); });
        if (found == batches.end()) return;
        row.by = *found;
        row.by_reason = std::move(how);
    };
    if (target.info.changes) {
        row.position = value_of(values, flow::change::position).value_or("");
        if (auto synced = value_of(values, flow::change::synced_at))
            choose(*synced, &CommittedBatch::committed_at, "the first commit after the row was written");
        return;
    }
    if (target.mode == flow::Mode::replace || target.info.cursor.empty()) {
        row.by = batches.back();
        row.by_reason = "each run writes the whole table";
        return;
    }
    row.cursor = value_of(values, target.info.cursor).value_or("");
    if (!row.cursor.empty())
        choose(row.cursor, &CommittedBatch::cursor_to, "the first commit whose cursor had got as far as the row's");
}

bool is_of_key(const flow::Reject& reject, const Key& key) {
    auto row = nlohmann::json::parse(reject.key, nullptr, false);
    return row.is_object() && std::ranges::all_of(key, [&](const Key::value_type& part) {
               if (!row.contains(part.first)) return false;
               const auto& value = row[part.first];
               return (value.is_string() ? value.get<std::string>() : value.dump()) == part.second;
           });
}

Status ask_source(Whereabouts& row, const Pipeline& pipeline, const flow::TableInfo& info, flow::ComparedSource& source,
                  const flow::ComparedTable& there, const std::optional<flow::Checkpoint>& last, const Key& key) {
    std::vector<flow::ComparedColumn> wanted;
    for (const auto& column : there.columns)
        if (info.schema.find(column.name) >= 0) wanted.push_back({.name = column.name, .type = column.type});
    PN_TRY(auto table, source.table(info, wanted, pipeline.is_stream() ? std::nullopt : last));
    row.source_asked = true;
    row.moment = source.moment();
    PN_TRY(auto condition, condition_for(table, key));
    PN_TRY(auto rows, rows_of(table, condition));
    if (rows.empty()) return {};
    row.at_source = std::move(rows.front());
    auto holds = [&](const std::string& what) -> Result<bool> {
        PN_TRY(auto answer, table.ask(fmt::format("SELECT 1 FROM {} WHERE {} AND ({})", table.from, condition, what)));
        return !answer.empty();
    };
    if (!table.where.empty()) {
        PN_TRY(bool kept, holds(table.where));
        row.filtered = !kept;
    }
    if (!table.newer.empty()) {
        PN_TRY(row.newer, holds(table.newer));
    }
    return {};
}

void compare(Whereabouts& row) {
    if (!row.at_source || row.rows.empty()) return;
    for (const auto& [name, value] : *row.at_source)
        if (value != value_of(row.rows.back(), name)) row.differs += (row.differs.empty() ? "" : ", ") + name;
}

/// A history's newest version last; deleted is what has no open one.
void look_at_versions(Whereabouts& row) {
    if (row.rows.empty()) return;
    auto closed = [](const NamedValues& one) { return value_of(one, flow::change::valid_to).has_value(); };
    std::ranges::stable_sort(row.rows, [&](const auto& a, const auto& b) {
        if (closed(a) != closed(b)) return closed(a);
        return value_of(a, flow::change::valid_to).value_or("") < value_of(b, flow::change::valid_to).value_or("");
    });
    const auto& newest = row.rows.back();
    row.deleted = closed(newest) || value_of(newest, flow::change::deleted) == "true";
}

}  // namespace

Result<Whereabouts> find_row(const config::Document& document, const std::string& table, const Key& key,
                             const std::string& wanted, std::stop_token stop) {
    PN_TRY(auto written, find_written(document, table, wanted));
    const auto& pipeline = written.pipeline;
    Whereabouts row{.pipeline = pipeline.name(),
                    .source = written.batch.source,
                    .target = written.batch.target,
                    .stream = pipeline.is_stream()};
    PN_TRY(auto target, pipeline.compare_target(stop));
    PN_TRY(auto there, target->table(row.target));
    PN_TRY(auto ledger, pipeline.open_ledger());
    if (!there)
        return fail({.kind = ErrorKind::refused,
                     .code = "table_not_there",
                     .message = fmt::format("{} is on record, and is not in the target", row.target),
                     .hint = fmt::format("`penstock run {} --full-refresh` makes it anew", row.pipeline)});
    PN_TRY(auto condition, condition_for(*there, key));
    PN_TRY(row.rows, rows_of(*there, condition));
    look_at_versions(row);

    PN_TRY(auto rejects, ledger->rejects({.pipeline = row.pipeline, .table = row.source}));
    for (auto& one : rejects)
        if (is_of_key(one.reject, key)) row.rejects.push_back(std::move(one));

    PN_TRY(auto source, pipeline.compare_source(stop));
    PN_TRY(auto infos, source->tables(stop));
    PN_CHECK(source->look());
    auto info = std::ranges::find(infos, row.source, &flow::TableInfo::name);
    PN_TRY(auto batches, batches_of(*ledger, written.batch));
    if (info != infos.end()) {
        PN_CHECK(ask_source(row, pipeline, *info, *source, *there, written.batch.checkpoint, key));
        PN_TRY(auto as_target, pipeline.target_for(*info));
        find_batch(row, batches, as_target);
        compare(row);
    }
    PN_TRY(auto history, ledger->schema_history(row.target));
    for (const auto& record : history)
        if (!row.by || moment(record.first_seen_at) <= row.by->committed_at) row.schema_version = record.version;
    if (row.by && ledger->checked() != nullptr) {
        PN_TRY(row.checks, ledger->checked()->validations(row.pipeline, row.by->run_id));
        std::erase_if(row.checks, [&](const auto& one) { return one.validation.target != row.target; });
    }
    return row;
}

}  // namespace penstock::app
