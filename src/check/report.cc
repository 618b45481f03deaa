#include "check/report.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/html.h"

namespace penstock::check {
namespace {

constexpr size_t most_verdicts = 30;

struct Verdicts {
    std::vector<const flow::ValidationRecord*> past;  ///< oldest first
    const flow::Validation& newest() const { return past.back()->validation; }
};

const char* verdict_class(const flow::Validation& one) {
    if (one.success) return "good";
    return one.on_fail == "warn" ? "warn" : "bad";
}

std::string past_of(const Verdicts& check) {
    std::string text;
    size_t first = check.past.size() > most_verdicts ? check.past.size() - most_verdicts : 0;
    for (size_t i = first; i < check.past.size(); ++i) {
        const auto& one = check.past[i]->validation;
        bool number = !one.observed.empty() && one.observed.size() < 30;
        text += fmt::format("<span class=\"{}\" title=\"{}: {}{}\">{}</span>", verdict_class(one),
                            html_escaped(iso_time(one.evaluated_at)), one.success ? "passed" : "failed",
                            number ? ", found " + html_escaped(one.observed) : "", one.success ? "●" : "○");
    }
    return text;
}

/// What was found was held against: as the figures on record say.
std::string compared_of(const flow::Validation& one) {
    auto result = nlohmann::json::parse(one.result, nullptr, false);
    if (!result.is_object() || !result.contains("details") || !result["details"].contains("compared_with")) return "";
    std::string text;
    auto figure = [](const nlohmann::json& entry, const char* name) {
        return entry.contains(name) && entry[name].is_number() ? fmt::format("{}", entry[name].get<double>()) : "";
    };
    for (const auto& entry : result["details"]["compared_with"]) {
        text += text.empty() ? "" : "; ";
        if (entry.contains("not_compared")) text += entry.value("not_compared", "");
        else if (!entry.contains("least"))
            text += fmt::format("{}: {}", entry.value("with", ""), figure(entry, "value"));
        else
            text += fmt::format("{}: {}, wanted {} to {}", entry.value("with", ""), figure(entry, "value"),
                                figure(entry, "least"), figure(entry, "most"));
    }
    return text;
}

std::string row_of(const Verdicts& check) {
    const auto& one = check.newest();
    std::string found = one.observed;
    if (!one.success && one.unexpected_count > 0) found = one.unexpected_sample;
    if (found.size() > 200) found = found.substr(0, 200) + "…";
    std::string compared = compared_of(one);
    std::string share = one.element_count == 0 ? "" : fmt::format("{} of {}", one.unexpected_count, one.element_count);
    return fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"{}\">{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td>"
        "<td><code>{}</code>{}</td><td class=\"past\">{}</td></tr>\n",
        html_escaped(one.check), verdict_class(one), one.success ? "passed" : "failed", html_escaped(one.severity),
        html_escaped(one.on_fail), share, html_escaped(found), compared.empty() ? "" : "<br>" + html_escaped(compared),
        past_of(check));
}

}  // namespace

std::string report_page(const std::vector<flow::ValidationRecord>& records, TimePoint at) {
    std::map<std::pair<std::string, std::string>, std::map<std::string, Verdicts>> tables;
    for (const auto& record : records) {
        const auto& one = record.validation;
        tables[{record.pipeline, one.target}][one.check + "\n" + one.rows + "\n" + one.kwargs].past.push_back(&record);
    }
    std::string page = html_head("Data quality");
    page += fmt::format("<h1>Data quality</h1><p>as of {}</p>\n", html_escaped(iso_time(at)));
    if (tables.empty())
        page += "<p>No check has been asked yet: add <code>checks</code> to a pipeline and run it.</p>\n";
    for (const auto& [name, checks] : tables) {
        size_t good = 0;
        for (const auto& [key, check] : checks) good += check.newest().success ? 1 : 0;
        page += fmt::format(
            "<h2>{}</h2><p>pipeline {} · {} of {} checks passed when they were last asked</p>\n"
            "<div class=\"scroll\"><table><thead><tr><th>Check</th><th>Verdict</th><th>Severity</th><th>On fail</th>"
            "<th>Unexpected</th><th>Found</th><th>Before</th></tr></thead><tbody>\n",
            html_escaped(name.second), html_escaped(name.first), good, checks.size());
        for (const auto& [key, check] : checks) page += row_of(check);
        page += "</tbody></table></div>\n";
    }
    return page + "</body></html>\n";
}

}  // namespace penstock::check
