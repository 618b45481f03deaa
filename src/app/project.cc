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

}  // namespace

Result<config::Document> load_project(const Session& session) {
    PN_TRY(auto document, config::load_document(session.options.file, catalog()));
    if (!session.options.state.empty()) {
        document.state = Secret(session.options.state);
        document.state_directory.clear();  // what the command line names is relative to where it was typed
    }
    PN_CHECK(validate_pipelines(document));
    return document;
}

Result<state::Store> open_state(const config::Document& document) {
    return state::Store::open(document.state.reveal(), document.state_directory);
}

Result<std::optional<state::Store>> look_at_state(const config::Document& document) {
    return state::Store::open_existing(document.state.reveal(), document.state_directory);
}

}  // namespace penstock::app
