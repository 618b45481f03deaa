#pragma once

#include <optional>
#include <string>

#include "app/commands.h"
#include "app/schedule/interval_run.h"
#include "config/document.h"
#include "flow/component.h"
#include "state/store.h"

namespace penstock::app {

/// The configuration that the command line names, all mistakes in it reported. What can be known without connecting has
/// been checked for every pipeline. `--state` stands in for its `state`. Nobody is called.
Result<config::Document> read_project(const Session& session);
/// The same with pipelines for the rows of `for_each`, whose tables are read, and `--param` in its places.
Result<config::Document> load_project(const Session& session);
/// The second half of load_project, for a run of this stretch of time.
Status fill_project(config::Document& document, const Session& session, const std::optional<Window>& window);

/// Run history and locks, made when there are none.
Result<state::Store> open_state(const config::Document& document);
/// What there is to say of a state on a server: it is connected to, and made when there is none. Nothing of a file.
Result<std::vector<flow::Finding>> examine_state(const config::Document& document);
/// For commands that only look: nothing when nothing was run yet.
Result<std::optional<state::Store>> look_at_state(const config::Document& document);

}  // namespace penstock::app
