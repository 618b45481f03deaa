#include "check/report.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

namespace penstock::check {
namespace {

constexpr size_t most_verdicts = 30;

std::string escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '&') out += "&amp;";
        else if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else if (c == '"') out += "&quot;";
        else out += c;
    }
    return out;
}

constexpr const char* head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data quality</title><style>
:root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700}
@media (prefers-color-scheme:dark){:root{--good:#3fb950;--bad:#ff7b72;--warn:#d29922}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .3rem}p{margin:.2rem 0;opacity:.8}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600}td.number{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.85em;overflow-wrap:anywhere}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.past{letter-spacing:.1em;white-space:nowrap}
</style></head><body>
)";

struct Check {
    std::vector<const flow::ValidationRecord*> past;  ///< oldest first
    const flow::Validation& newest() const { return past.back()->validation; }
};

const char* verdict_class(const flow::Validation& one) {
    if (one.success) return "good";
    return one.on_fail == "warn" ? "warn" : "bad";
}

std::string past_of(const Check& check) {
    std::string text;
    size_t first = check.past.size() > most_verdicts ? check.past.size() - most_verdicts : 0;
    for (size_t i = first; i < check.past.size(); ++i) {
        const auto& one = check.past[i]->validation;
        text += fmt::format("<span class=\"{}\" title=\"{}: {}\">{}</span>", verdict_class(one),
                            escaped(iso_time(one.evaluated_at)), one.success ? "passed" : "failed",
                            one.success ? "●" : "○");
    }
    return text;
}

std::string row_of(const Check& check) {
    const auto& one = check.newest();
    std::string found = one.observed;
    if (!one.success && one.unexpected_count > 0) found = one.unexpected_sample;
    if (found.size() > 200) found = found.substr(0, 200) + "…";
    std::string share = one.element_count == 0 ? "" : fmt::format("{} of {}", one.unexpected_count, one.element_count);
    return fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"{}\">{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td>"
        "<td><code>{}</code></td><td class=\"past\">{}</td></tr>\n",
        escaped(one.check), verdict_class(one), one.success ? "passed" : "failed", escaped(one.severity),
        escaped(one.on_fail), share, escaped(found), past_of(check));
}

}  // namespace

std::string report_page(const std::vector<flow::ValidationRecord>& records, TimePoint at) {
    std::map<std::pair<std::string, std::string>, std::map<std::string, Check>> tables;
    for (const auto& record : records) {
        const auto& one = record.validation;
        tables[{record.pipeline, one.target}][one.check + "\n" + one.rows + "\n" + one.kwargs].past.push_back(&record);
    }
    std::string page = head;
    page += fmt::format("<h1>Data quality</h1><p>as of {}</p>\n", escaped(iso_time(at)));
    if (tables.empty())
        page += "<p>No check has been asked yet: add <code>checks</code> to a pipeline and run it.</p>\n";
    for (const auto& [name, checks] : tables) {
        size_t good = 0;
        for (const auto& [key, check] : checks) good += check.newest().success ? 1 : 0;
        page += fmt::format(
            "<h2>{}</h2><p>pipeline {} · {} of {} checks passed when they were last asked</p>\n"
            "<div class=\"scroll\"><table><thead><tr><th>Check</th><th>Verdict</th><th>Severity</th><th>On fail</th>"
            "<th>Unexpected</th><th>Found</th><th>Before</th></tr></thead><tbody>\n",
            escaped(name.second), escaped(name.first), good, checks.size());
        for (const auto& [key, check] : checks) page += row_of(check);
        page += "</tbody></table></div>\n";
    }
    return page + "</body></html>\n";
}

}  // namespace penstock::check
