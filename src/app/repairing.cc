#include "app/repairing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/execution.h"
#include "app/project.h"
#include "app/replay_target.h"
#include "base/assert.h"
#include "base/ids.h"
#include "base/log.h"
#include "flow/validation.h"

namespace penstock::app {
namespace {

using RejectedRows = std::vector<flow::RejectRecord>;

Error refused(const VerifiedTable& table, std::string why, std::string hint) {
    return {.kind = ErrorKind::usage,
            .code = "repair_not_available",
            .message = fmt::format("{} cannot be repaired row by row: {}", table.target.name, why),
            .where = "table " + table.target.info.name,
            .hint = std::move(hint)};
}

/// Rows are read again by the source's own key, so the compared key must hold it.
Status check_repairable(const Pipeline& pipeline, const VerifiedTable& table) {
    std::string whole = fmt::format("`penstock run {} --full-refresh` loads it anew", pipeline.name());
    const auto& info = table.target.info;
    bool known = !info.key.empty() && std::ranges::all_of(info.key, [&](const auto& column) {
        return std::ranges::find(table.target.key, column) != table.target.key.end();
    });
    if (!table.there) return fail(refused(table, "it is not there", whole));
    if (!known) return fail(refused(table, "its rows have no key by which the source could be asked for them", whole));
    if (static_cast<int64_t>(table.outcome.differences.size()) < table.outcome.total())
        return fail(refused(table, "too many of its rows differ", whole));
    bool extra = table.outcome.counts.contains(verify::DifferenceKind::extra) &&
                 table.outcome.counts.at(verify::DifferenceKind::extra) > 0;
    bool keeps = table.target.mode == flow::Mode::history ||
                 (table.target.info.changes && table.target.deletes == flow::Deletes::soft);
    if (extra && keeps)
        return fail(
            refused(table, "it keeps what the source has deleted, and nobody knows when these rows went", whole));
    if (extra && !table.gives_up_rows)
        return fail(refused(
            table, "the source has some of its rows no more, and this target takes none away by themselves", whole));
    return {};
}

/// {"id": "5"}: the source casts the texts to its own types.
std::string key_json(const VerifiedTable& table, const verify::Difference& one) {
    nlohmann::ordered_json key = nlohmann::ordered_json::object();
    const auto& schema = table.target.info.schema;
    for (const auto& [column, text] : one.key) {
        int index = schema.find(column);
        bool bytes = index >= 0 && schema.fields[static_cast<size_t>(index)].type.kind == data::Kind::bytes;
        if (text) key[column] = (bytes ? "\\x" : "") + *text;
        else key[column] = nullptr;
    }
    return key.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// All rows that differ, those too that should go: one that the source has by now comes back with what it holds.
RejectedRows rows_to_read(const std::vector<VerifiedTable>& tables) {
    RejectedRows rows;
    for (const auto& table : tables)
        for (const auto& one : table.outcome.differences)
            rows.push_back({.reject = {.table = table.target.info.name, .key = key_json(table, one)}});
    return rows;
}

const VerifiedTable* find(const std::vector<VerifiedTable>& tables, const std::string& source) {
    auto found = std::ranges::find_if(tables, [&](const auto& table) { return table.target.info.name == source; });
    return found == tables.end() ? nullptr : &*found;
}

Status remove_extra(flow::CheckedTarget& in, const VerifiedTable& table) {
    if (table.extra_rows.empty()) return {};
    PN_TRY(auto removed, in.remove(table.target.name, table.extra_rows));
    PN_ASSERT(removed);  // check_repairable
    log::info("{}: {} rows that the source has not were taken away", table.target.name, *removed);
    return {};
}

flow::RunRequest request_for(const Pipeline& pipeline, const std::vector<VerifiedTable>& tables,
                             const RejectedRows& rows) {
    auto request = pipeline.request(new_run_id());
    request.make_source = [&pipeline, &rows] { return pipeline.build_replay_source(rows); };
    request.target_for = [&pipeline](size_t, const flow::TableInfo& info) -> Result<flow::TableTarget> {
        PN_TRY(auto target, replay_target(pipeline, info));
        if (info.changes) return target;
        if (target.mode == flow::Mode::append) {
            target.mode = flow::Mode::merge;
            target.key = info.key;
        }
        target.update_when.clear();
        return target;
    };
    request.check_table = [&tables, asked = request.check_table](flow::CheckedTarget& in,
                                                                 const flow::TableTarget& target) -> Status {
        if (const auto* table = find(tables, target.info.name)) PN_CHECK(remove_extra(in, *table));
        return asked ? asked(in, target) : Status();
    };
    return request;
}

}  // namespace

Status repair(const config::Document& document, Pipeline& pipeline, const std::vector<VerifiedTable>& tables,
              std::stop_token stop) {
    std::vector<VerifiedTable> differing;
    for (const auto& table : tables)
        if (!table.there || table.outcome.total() > 0) differing.push_back(table);
    for (const auto& table : differing) PN_CHECK(check_repairable(pipeline, table));
    if (differing.empty()) return {};
    pipeline.set_follow(false);
    PN_CHECK(settle_killed_runs(pipeline, stop));
    PN_TRY(auto store, open_state(document));
    JobTables jobs(document);
    auto rows = rows_to_read(differing);
    auto result = execute(pipeline, request_for(pipeline, differing, rows), store, jobs, std::move(stop));
    if (result.error) return fail(std::move(*result.error));
    return {};
}

}  // namespace penstock::app
