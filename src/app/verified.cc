#include "app/verified.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "app/run_history.h"
#include "app/text_table.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using verify::DifferenceKind;

constexpr size_t longest_value = 120;

std::string value(const std::optional<std::string>& text) {
    return text ? one_line("'" + *text + "'", longest_value) : "NULL";
}

std::string key_text(const verify::Difference& one) {
    std::string out;
    for (const auto& [column, text] : one.key)
        out += fmt::format("{}{}={}", out.empty() ? "" : " ", column, text ? one_line(*text, longest_value) : "NULL");
    return out;
}

std::string difference_text(const verify::Difference& one) {
    std::string out = fmt::format("  {:<8} {}\n", verify::to_string(one.kind), key_text(one));
    for (const auto& column : one.columns)
        out += fmt::format("           {}: source {}, target {}\n", column.column, value(column.source),
                           value(column.target));
    return out;
}

std::string sums_text(const VerifiedTable& table) {
    const auto& outcome = table.outcome;
    std::string out;
    auto add = [&](int64_t count, std::string_view what) {
        if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", humane_count(count), what);
    };
    for (const auto& [kind, count] : outcome.counts) add(count, verify::to_string(kind));
    return (outcome.counted_all ? "" : "at least ") + out;
}

/// What holds, and as of when.
std::string position_text(const VerifiedTable& table, bool stream) {
    if (stream)
        return fmt::format("  as of {}: the target has all changes that the source had committed then\n", table.moment);
    if (!table.batch) return fmt::format("  source as of {}; no run is on record in the target\n", table.moment);
    const auto& cursor = table.batch->checkpoint.cursor_to;
    std::string read = moment(table.batch->checkpoint.read_at);
    if (cursor.empty())
        return fmt::format(
            "  source as of {}; the target holds what was read at {}: what changed in between is a difference\n",
            table.moment, read);
    return fmt::format("  up to {} {}, read at {}; source as of {}\n", table.target.info.cursor, cursor, read,
                       table.moment);
}

std::string effort_text(std::string_view side, const verify::Effort& effort, int64_t bytes) {
    std::string scanned;
    if (bytes >= 0)
        scanned = fmt::format(", {} scanned",
                              humane_bytes(static_cast<uint64_t>(bytes) * static_cast<uint64_t>(effort.scans)));
    return fmt::format("  {}: {} rows, {} queries in {}{}, {} received\n", side, humane_count(effort.rows),
                       effort.queries, humane_duration(std::chrono::duration<double>(effort.seconds)), scanned,
                       humane_bytes(static_cast<uint64_t>(effort.answer_bytes)));
}

/// Whoever reads no further must not take columns for equal that nobody compared.
std::string extent_text(const VerifiedTable& table) {
    if (table.complete()) return "";
    size_t compared = table.outcome.columns.size();
    return fmt::format(" in {} of {} columns", compared, compared + table.not_compared.size());
}

Json optional_json(const std::optional<std::string>& text) { return text ? Json(*text) : Json(nullptr); }

Json effort_json(const verify::Effort& effort, int64_t bytes) {
    return {{"rows", effort.rows},
            {"queries", effort.queries},
            {"scanned_bytes", bytes < 0 ? Json(nullptr) : Json(bytes * effort.scans)},
            {"received_bytes", effort.answer_bytes},
            {"seconds", effort.seconds}};
}

Json difference_json(const verify::Difference& one) {
    Json key = Json::object(), columns = Json::array();
    for (const auto& [column, text] : one.key) key[column] = optional_json(text);
    for (const auto& column : one.columns)
        columns.push_back({{"column", column.column},
                           {"source", optional_json(column.source)},
                           {"target", optional_json(column.target)}});
    return {{"kind", verify::to_string(one.kind)}, {"key", key}, {"columns", columns}};
}

}  // namespace

std::string verdict(const VerifiedTable& table) {
    const auto& info = table.target.info;
    std::string pair = fmt::format("{} -> {}", info.name, table.target.name);
    if (!table.there) return fmt::format("{}: different, the target has no such table", pair);
    if (table.equal())
        return fmt::format("{}: equal{}, {} rows in {} partitions", pair, extent_text(table),
                           humane_count(table.outcome.source.rows), humane_count(table.outcome.partitions));
    if (table.outcome.total() == 0)
        return fmt::format("{}: not decided, {} rows were changed at every look", pair, humane_count(table.undecided));
    return fmt::format("{}: different, {}; in {} of {} partitions", pair, sums_text(table),
                       humane_count(table.outcome.differing_partitions), humane_count(table.outcome.partitions));
}

std::string verified_text(const std::vector<VerifiedTable>& tables, bool stream, int64_t most) {
    std::string text;
    for (const auto& table : tables) {
        const auto& outcome = table.outcome;
        text += verdict(table) + "\n";
        if (!table.there) continue;
        text += position_text(table, stream);
        if (outcome.newer > 0)
            text += fmt::format("  {} rows newer than the checkpoint, which the next run will read\n",
                                humane_count(outcome.newer));
        if (table.rejected > 0)
            text += fmt::format("  {} rows are among the rejects: `penstock rejects list {}`\n",
                                humane_count(table.rejected), table.batch ? table.batch->pipeline : "");
        if (outcome.earlier > 0)
            text += fmt::format("  {} rows of the target are what was read earlier, as mode append keeps it\n",
                                humane_count(outcome.earlier));
        if (table.target.key.empty()) text += "  no key: rows are told apart by all their values\n";
        for (const auto& [column, why] : table.not_compared)
            text += fmt::format("  not compared: {}, because {}\n", column, why);
        text += effort_text("source", outcome.source, table.source_bytes);
        text += effort_text("target", outcome.target, table.target_bytes);
        int64_t shown = 0;
        for (const auto& one : outcome.differences) {
            if (shown++ == most) break;
            text += difference_text(one);
        }
        if (outcome.total() > most)
            text += fmt::format("  and {} more: --max-differences shows more\n", humane_count(outcome.total() - most));
    }
    return text;
}

Json verified_json(const VerifiedTable& table, int64_t most) {
    const auto& outcome = table.outcome;
    Json differences = Json::object(), shown = Json::array(), left_out = Json::array();
    for (auto kind : {DifferenceKind::missing, DifferenceKind::extra, DifferenceKind::changed}) {
        auto found = outcome.counts.find(kind);
        differences[std::string(verify::to_string(kind))] = found == outcome.counts.end() ? 0 : found->second;
    }
    for (const auto& one : outcome.differences)
        if (static_cast<int64_t>(shown.size()) < most) shown.push_back(difference_json(one));
    for (const auto& [column, why] : table.not_compared) left_out.push_back({{"column", column}, {"reason", why}});
    Json checkpoint = nullptr;
    if (table.batch)
        checkpoint = {{"cursor", table.batch->checkpoint.cursor_to},
                      {"run_id", table.batch->run_id},
                      {"batch", table.batch->batch},
                      {"read_at", iso_time(table.batch->checkpoint.read_at)}};
    return {{"source", table.target.info.name},
            {"target", table.target.name},
            {"equal", table.equal()},
            {"complete", table.complete()},
            {"there", table.there},
            {"moment", table.moment},
            {"checkpoint", checkpoint},
            {"key", table.target.key},
            {"columns", outcome.columns},
            {"not_compared", left_out},
            {"partitions", outcome.partitions},
            {"differing_partitions", outcome.differing_partitions},
            {"differences", differences},
            {"counted_all", outcome.counted_all},
            {"newer", outcome.newer},
            {"rejected", table.rejected},
            {"earlier_versions", outcome.earlier},
            {"undecided", table.undecided},
            {"looks", table.looks},
            {"read",
             {{"source", effort_json(outcome.source, table.source_bytes)},
              {"target", effort_json(outcome.target, table.target_bytes)}}},
            {"shown", shown}};
}

}  // namespace penstock::app
