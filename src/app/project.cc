#include "app/project.h"

#include <fmt/format.h>

#include "app/backup_place.h"
#include "app/components.h"
#include "app/for_each.h"
#include "app/pipeline.h"
#include "app/schedule/jobs.h"
#include "state/place.h"

namespace penstock::app {
namespace {

/// A path starts one pipeline.
void check_trigger_path(const config::Document& document, const config::PipelineConfig& pipeline,
                        config::Diagnostics& diagnostics) {
    for (const auto& other : document.pipelines) {
        if (&other == &pipeline) return;
        if (!other.trigger || other.trigger->http.value != pipeline.trigger->http.value) continue;
        diagnostics.add({.kind = ErrorKind::configuration,
                         .code = "path_taken",
                         .message = fmt::format("pipelines.{}.trigger: {} starts pipeline '{}' already", pipeline.name,
                                                pipeline.trigger->http.value, other.name),
                         .where = pipeline.trigger->http.place.text(),
                         .hint = "give each a path of its own"});
    }
}

Status validate_pipelines(const config::Document& document) {
    config::Diagnostics diagnostics;
    for (const auto& config : document.pipelines) {
        PN_TRY(auto pipeline, Pipeline::find(document, config.name));
        auto status = validate_for_each(document, config);
        if (status && !config.for_each && !wants_parameters(document, config))
            status = pipeline.validate();  // what has placeholders is, row by row, when it runs
        if (!status) diagnostics.add(std::move(status.error()));
        if (config.trigger) check_trigger_path(document, config, diagnostics);
    }
    return diagnostics.status();
}

}  // namespace

Result<config::Document> read_project(const Session& session) {
    PN_TRY(auto document, config::load_document(session.options.file, catalog()));
    if (!session.options.state.empty()) {
        document.state = Secret(session.options.state);
        document.state_directory.clear();  // what the command line names is relative to where it was typed
    }
    if (auto place = state::place_of(document.state.reveal(), document.state_directory); !place) {
        place.error().message = "state: " + place.error().message;
        return fail(std::move(place.error()).at(session.options.state.empty() ? document.file.string() : "--state"));
    }
    PN_CHECK(validate_pipelines(document));
    PN_CHECK(check_backups(document));
    PN_CHECK(scheduled_jobs(document));
    return document;
}

Result<config::Document> load_project(const Session& session) {
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto window, read_window(session.options.window));
    PN_CHECK(fill_project(document, session, window));
    return document;
}

Status fill_project(config::Document& document, const Session& session, const std::optional<Window>& window) {
    PN_TRY(auto parameters, read_parameters(session.options.parameters));
    Windows windows;
    for (const auto& pipeline : document.pipelines) {
        if (!window) break;
        PN_TRY(auto zone, zone_of(document, pipeline));
        windows[pipeline.name] = window_values(*window, zone);
    }
    return expand_for_each(document, parameters, windows);
}

Result<state::Store> open_state(const config::Document& document) {
    return state::Store::open(document.state.reveal(), document.state_directory);
}

Result<std::vector<flow::Finding>> examine_state(const config::Document& document) {
    PN_TRY(auto place, state::place_of(document.state.reveal(), document.state_directory));
    if (place.engine == state::Engine::sqlite) return std::vector<flow::Finding>();  // a run makes it
    // As a run does it: what is not there yet is made, so that every privilege is known to suffice.
    PN_TRY(auto store, open_state(document));
    PN_TRY(auto version, store.version());
    return std::vector<flow::Finding>{{.severity = flow::Finding::Severity::ok,
                                       .what = "state",
                                       .detail = fmt::format("{}: {}", place.shown, version)}};
}

Result<std::optional<state::Store>> look_at_state(const config::Document& document) {
    return state::Store::open_existing(document.state.reveal(), document.state_directory);
}

}  // namespace penstock::app
