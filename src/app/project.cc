#include "app/project.h"

#include "app/components.h"
#include "app/pipeline.h"

namespace penstock::app {
namespace {

Status validate_pipelines(const config::Document& document) {
    config::Diagnostics diagnostics;
    for (const auto& config : document.pipelines) {
        PN_TRY(auto pipeline, Pipeline::find(document, config.name));
        auto status = pipeline.validate();
        if (!status) diagnostics.add(std::move(status.error()));
    }
    return diagnostics.status();
}

std::string state_url(const Session& session, const config::Document& document) {
    return session.options.state.empty() ? document.state.reveal() : session.options.state;
}

/// What the command line names is relative to where it was typed.
std::filesystem::path state_directory(const Session& session, const config::Document& document) {
    return session.options.state.empty() ? document.directory : std::filesystem::path();
}

}  // namespace

Result<config::Document> load_project(const Session& session) {
    PN_TRY(auto document, config::load_document(session.options.file, catalog()));
    PN_CHECK(validate_pipelines(document));
    return document;
}

Result<state::Store> open_state(const Session& session, const config::Document& document) {
    return state::Store::open(state_url(session, document), state_directory(session, document));
}

Result<std::optional<state::Store>> look_at_state(const Session& session, const config::Document& document) {
    return state::Store::open_existing(state_url(session, document), state_directory(session, document));
}

}  // namespace penstock::app
