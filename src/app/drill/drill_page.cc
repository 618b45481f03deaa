#include <fmt/format.h>

#include <algorithm>

#include "app/backup_place.h"
#include "app/drill/drill_report.h"
#include "base/html.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

constexpr size_t most_page_rows = 500;

std::string seconds_text(double seconds) { return humane_duration(std::chrono::duration<double>(seconds)); }

std::string fact(std::string_view name, std::string_view value) {
    return fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", html_escaped(name), html_escaped(value));
}

/// A bar for each phase, on one scale.
std::string chart(const std::vector<DrillPhase>& phases) {
    constexpr double left = 130, width = 560, row = 26;
    double end = 0.001;
    for (const auto& phase : phases) end = std::max(end, phase.begin + phase.seconds);
    std::string svg = fmt::format(
        "<svg viewBox=\"0 0 800 {0}\" width=\"100%\" role=\"img\" aria-label=\"How long each phase took\" "
        "font-family=\"system-ui,sans-serif\" font-size=\"13\" fill=\"currentColor\">\n",
        row * static_cast<double>(phases.size()) + 4);
    for (size_t i = 0; i < phases.size(); ++i) {
        const auto& phase = phases[i];
        double y = row * static_cast<double>(i), x = left + width * phase.begin / end;
        double length = std::max(2.0, width * phase.seconds / end);
        svg += fmt::format(
            "<text x=\"0\" y=\"{:.0f}\">{}</text><rect x=\"{:.1f}\" y=\"{:.0f}\" width=\"{:.1f}\" height=\"16\" "
            "rx=\"3\" "
            "opacity=\"0.55\"/><text x=\"{:.1f}\" y=\"{:.0f}\">{}</text>\n",
            y + 17, html_escaped(phase.name), x, y + 5, length, x + length + 6, y + 17, seconds_text(phase.seconds));
    }
    return svg + "</svg>\n";
}

std::string table_head(std::initializer_list<std::string_view> names) {
    std::string text = "<div class=\"scroll\"><table><thead><tr>";
    for (auto name : names) text += fmt::format("<th>{}</th>", name);
    return text + "</tr></thead><tbody>\n";
}

std::string verdict_cell(bool good) {
    return fmt::format("<td class=\"{}\">{}</td>", good ? "good" : "bad", good ? "passed" : "failed");
}

std::string facts(const DrillReport& report) {
    std::string text = "<div class=\"scroll\"><table><tbody>\n";
    auto time = [](const auto& value) { return value ? seconds_text(*value) : std::string("not measured"); };
    text += fact("RTO: until the restored server answered", time(report.rto));
    text += fact("RPO: since the last transaction that the store had", time(report.rpo));
    if (report.record) {
        text += fact("Restored backup", report.record->id);
        text +=
            fact("Server", fmt::format("PostgreSQL {}, system {}", server_version_text(report.record->server_version),
                                       report.record->system_identifier));
        text += fact("Size", fmt::format("{}, stored as {}", humane_bytes(report.record->bytes()),
                                         humane_bytes(report.record->stored_bytes())));
    }
    if (report.recovery) text += fact("Log up to", report.recovery->reach.text());
    if (report.held_until) text += fact("Holds all that was committed until", iso_time(*report.held_until));
    text += fact("Network of the restored server", report.isolated ? "none" : "not shut off: not allowed here");
    return text + "</tbody></table></div>\n";
}

std::string queries(const std::vector<QueryOutcome>& all) {
    if (all.empty()) return "";
    std::string text = "<h2>Queries</h2>\n" + table_head({"Query", "Verdict", "Rows", "First value", "Time"});
    for (const auto& one : all)
        text += fmt::format(
            "<tr><td><code>{}</code></td>{}<td class=\"number\">{}</td><td>{}</td><td class=\"number\">{}</td></tr>\n",
            html_escaped(one.sql), verdict_cell(!one.error), one.rows,
            html_escaped(one.error ? one.error->message : one.first.value_or("NULL")), seconds_text(one.seconds));
    return text + "</tbody></table></div>\n";
}

std::string pages(const PageChecks& checks) {
    std::string text = fmt::format(
        "<h2>Pages</h2>\n<p>{} tables and {} B-tree indexes of {} databases were read by amcheck, each index compared "
        "with "
        "its table. {}</p>\n",
        checks.tables, checks.indexes, checks.databases,
        checks.checksums >= 0 ? fmt::format("The checksums of {} pages were computed.", checks.checksums)
                              : "Checksums: " + html_escaped(checks.no_checksums) + ".");
    if (!checks.faults.empty()) {
        text += table_head({"Database", "Relation", "Page", "Item", "File", "What is wrong"});
        auto number = [](int64_t value) { return value < 0 ? std::string() : std::to_string(value); };
        for (size_t i = 0; i < std::min(checks.faults.size(), most_page_rows); ++i) {
            const auto& fault = checks.faults[i];
            text += fmt::format(
                "<tr><td>{}</td><td class=\"bad\">{} {}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
                "<td><code>{}</code></td><td>{}</td></tr>\n",
                html_escaped(fault.in.database), fault.in.kind, html_escaped(fault.in.relation), number(fault.page),
                number(fault.item), html_escaped(fault.file), html_escaped(fault.what));
        }
        text += "</tbody></table></div>\n";
    }
    for (const auto& [name, why] : checks.not_checked)
        text += fmt::format("<p>Not checked: {} {} {}, for {}</p>\n", name.kind, html_escaped(name.database),
                            html_escaped(name.relation), html_escaped(why));
    return text;
}

std::string compared(const std::vector<ComparedPipeline>& all) {
    if (all.empty()) return "";
    std::string text =
        "<h2>Compared with the warehouse</h2>\n" +
        table_head({"Pipeline", "Table", "Verdict", "Rows restored", "Rows in the target", "Differences"});
    for (const auto& one : all) {
        for (const auto& table : one.tables)
            text += fmt::format(
                "<tr><td>{}</td><td>{}</td>{}<td class=\"number\">{}</td><td class=\"number\">{}</td>"
                "<td class=\"number\">{}</td></tr>\n",
                html_escaped(one.as_of.empty() ? one.name : one.name + " as of " + one.as_of),
                html_escaped(table.target.name), verdict_cell(table.equal()), table.outcome.source.rows,
                table.outcome.target.rows, table.outcome.total());
        auto said = one.error ? one.error->message : one.note;
        if (!said.empty())
            text += fmt::format("<tr><td>{}</td><td colspan=\"5\" class=\"bad\">{}</td></tr>\n", html_escaped(one.name),
                                html_escaped(said));
    }
    return text + "</tbody></table></div>\n";
}

}  // namespace

std::string drill_page(const DrillReport& report) {
    std::string page = html_head("Drill of " + report.backup);
    page += fmt::format("<h1>Drill of {}: <span class=\"{}\">{}</span></h1><p>{}, {} to {}</p>\n",
                        html_escaped(report.backup), report.passed() ? "good" : "bad",
                        report.passed() ? "passed" : "failed", html_escaped(report.id), iso_time(report.started_at),
                        iso_time(report.ended_at));
    auto failures = report.failures();
    for (size_t i = 0; i < std::min(failures.size(), most_page_rows); ++i)
        page += fmt::format("<p class=\"bad\">{}</p>\n", html_escaped(failures[i]));
    page += facts(report);
    page += "<h2>Phases</h2>\n" + chart(report.phases) + queries(report.queries);
    if (report.pages) page += pages(*report.pages);
    page += compared(report.compared);
    return page + "</body></html>\n";
}

}  // namespace penstock::app
