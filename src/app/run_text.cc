#include "app/run_text.h"

#include <fmt/format.h>

#include "app/terminal.h"
#include "app/text_table.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

using Align = TextTable::Align;

/// Nothing stands for none, so that what happened catches the eye.

TextTable table_of(const std::vector<flow::RunResult>& results) {
    TextTable table({{.heading = "PIPELINE"},
                     {.heading = "STATUS"},
                     {.heading = "TABLE"},
                     {.heading = "TARGET"},
                     {.heading = "READ", .align = Align::right},
                     {.heading = "WRITTEN", .align = Align::right},
                     {.heading = "REJECTED", .align = Align::right},
                     {.heading = "FILTERED", .align = Align::right},
                     {.heading = "SIZE", .align = Align::right},
                     {.heading = "TIME", .align = Align::right}});
    for (const auto& result : results) {
        std::string status(flow::to_string(result.status));
        if (result.tables.empty())
            table.add({result.identity.pipeline, status, "", "", "", "", "", "", "", humane_duration(result.duration)});
        for (const auto& of : result.tables)
            table.add({result.identity.pipeline, status, of.source, of.target, humane_count(of.counts.rows_read),
                       humane_count(of.counts.rows_written), count_or_blank(of.counts.rows_rejected),
                       count_or_blank(of.counts.rows_filtered),
                       humane_bytes(static_cast<uint64_t>(of.counts.bytes_read)), humane_duration(of.duration)});
    }
    return table;
}

std::string remarks(const flow::RunResult& result) {
    std::string text;
    for (const auto& table : result.tables) {
        for (const auto& decision : table.decisions) {
            if (decision.change == "table_created") continue;
            text += fmt::format("  {}: {}\n", table.target,
                                decision.detail.empty()
                                    ? fmt::format("{} {}: {}", decision.change, decision.column, decision.decision)
                                    : decision.detail);
        }
        for (const auto& record : table.validations)
            if (!record.validation.success && result.status == flow::RunStatus::success)
                text += fmt::format("  {}: check {} failed ({})\n", table.source, record.validation.check,
                                    record.validation.on_fail == "reject" ? "its rows were rejected" : "a warning");
        for (const auto& note : table.notes) text += fmt::format("  {}: {}\n", table.source, note);
    }
    int64_t rejected = result.counts().rows_rejected;
    if (result.status == flow::RunStatus::success && rejected > 0)
        text += fmt::format("  {} {} rejected: `penstock rejects list {}` says why\n", humane_count(rejected),
                            rejected == 1 ? "row was" : "rows were", result.identity.pipeline);
    return text;
}

}  // namespace

std::string count_or_blank(int64_t count) { return count == 0 ? "" : humane_count(count); }

std::string runs_text(const std::vector<flow::RunResult>& results) {
    std::string text = table_of(results).text();
    std::string more;
    for (const auto& result : results) more += remarks(result);
    return more.empty() ? text : text + "\n" + more;
}

}  // namespace penstock::app
