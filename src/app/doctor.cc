#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/components.h"
#include "app/output.h"
#include "app/pipeline.h"
#include "app/project.h"
#include "app/terminal.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Severity = flow::Finding::Severity;

std::string_view name_of(Severity severity) {
    switch (severity) {
        case Severity::ok: return "ok";
        case Severity::warning: return "warning";
        case Severity::problem: return "problem";
    }
    std::unreachable();
}

Colour colour_of(Severity severity) {
    switch (severity) {
        case Severity::ok: return Colour::green;
        case Severity::warning: return Colour::yellow;
        case Severity::problem: return Colour::red;
    }
    std::unreachable();
}

Result<std::vector<config::Connection>> chosen_connections(const config::Document& document,
                                                           const std::vector<std::string>& names) {
    if (names.empty()) return document.connections;
    std::vector<config::Connection> chosen;
    for (const auto& name : names) {
        const auto* connection = document.connection(name);
        if (connection == nullptr) return fail(config::no_such_connection(document, name));
        chosen.push_back(*connection);
    }
    return chosen;
}

flow::Finding as_finding(std::string what, const Error& error) {
    Json json = error_json(error);
    return {.severity = Severity::problem, .what = std::move(what), .detail = json["message"], .fix = error.hint};
}

/// What there is to say of a connection and of the pipelines that read from it. One that cannot be made is a finding like any
/// other.
std::vector<flow::Finding> examine(const config::Connection& connection, const config::Document& document,
                                   std::stop_token stop) {
    const auto* component = find_component(connection.type);
    if (component->doctor == nullptr) return {};
    auto findings = component->doctor(connection.options, document.directory, stop);
    if (!findings) return {as_finding("connection", findings.error())};
    auto all = std::move(*findings);
    for (const auto& config : document.pipelines) {
        if (config.source_connection != connection.name || config.for_each) continue;
        auto pipeline = Pipeline::find(document, config.name);
        auto more = pipeline ? pipeline->examine_source(stop) : fail(pipeline.error());
        if (more) all.insert(all.end(), more->begin(), more->end());
        else all.push_back(as_finding("pipeline " + config.name, more.error()));
    }
    return all;
}

std::string finding_text(const flow::Finding& finding) {
    std::string label = fmt::format("{:<7}", name_of(finding.severity));
    std::string text = fmt::format("  {}  {}", paint_stdout(colour_of(finding.severity), label), finding.what);
    if (!finding.detail.empty()) text += ": " + finding.detail;
    if (finding.fix.find('\n') == std::string::npos) {
        if (!finding.fix.empty()) text += "\n           fix: " + finding.fix;
        return text + "\n";
    }
    // A script, to be copied as it stands.
    text += "\n           fix:\n";
    for (size_t at = 0; at < finding.fix.size();) {
        size_t end = std::min(finding.fix.find('\n', at), finding.fix.size());
        text += "             " + finding.fix.substr(at, end - at) + "\n";
        at = end + 1;
    }
    return text;
}

}  // namespace

Result<int> command::doctor(const Session& session) {
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto connections, chosen_connections(document, session.options.names));
    Json list = Json::array();
    std::string text;
    int problems = 0;
    auto show = [&](const std::string& name, std::string_view type, const std::vector<flow::Finding>& findings) {
        text += fmt::format("{} ({})\n", paint_stdout(Colour::bold, name), type);
        for (const auto& finding : findings) {
            problems += finding.severity == Severity::problem ? 1 : 0;
            text += finding_text(finding);
            list.push_back({{"connection", name},
                            {"severity", name_of(finding.severity)},
                            {"what", finding.what},
                            {"detail", finding.detail},
                            {"fix", finding.fix.empty() ? Json(nullptr) : Json(finding.fix)}});
        }
    };
    if (session.options.names.empty()) {
        auto state = examine_state(document);
        if (!state) state = std::vector{as_finding("state", state.error())};
        if (!state->empty()) show("state", "run history and locks", *state);
    }
    for (const auto& connection : connections)
        show(connection.name, connection.type, examine(connection, document, session.stop));
    text +=
        problems == 0 ? "\nnothing stands in the way of a run\n" : fmt::format("\n{} to mend before a run\n", problems);
    PN_CHECK(session.json() ? print_json({{"findings", list}}) : print(text));
    return problems == 0 ? 0 : exit_code(ErrorKind::check_failed);
}

}  // namespace penstock::app
