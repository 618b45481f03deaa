#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/drill/sandbox.h"
#include "app/verified.h"
#include "app/verifying.h"
#include "config/diagnostics.h"
#include "config/document.h"

namespace penstock::app {

/// A pipeline whose target was compared with the restored server.
struct ComparedPipeline {
    std::string name;
    std::vector<VerifiedTable> tables;
    std::optional<Error> error;  ///< why it could not be compared
    std::string as_of;           ///< the place in the log at which both stood; "" each of its own moment
    std::string note;            ///< what the differences may come from; "" nothing that is known

    bool equal() const;
};

/// Of `drill: {verify: …}` what a drill cannot do, by name: pipelines that are not there, read no PostgreSQL, or stand for many.
void check_compared(const config::Document& document, const config::Backup& backup, config::Diagnostics& diagnostics);

bool captures(const config::PipelineConfig& pipeline);

/// Compares one's target with the restored server, whatever it is called in the configuration.
ComparedPipeline compare_restored(const config::Document& document, const std::string& name, const Sandbox& sandbox,
                                  const VerifyRequest& request, const std::stop_token& stop);

/// Compares the targets of pipelines that capture no changes (of the others: captured_pipelines.h) with the restored server as their source. Rows that the next run would read are no differences, as
/// in `penstock verify`; where a target was loaded after the restored state (`held_until`), what was committed in between is one, and
/// `note` says so.
Result<std::vector<ComparedPipeline>> compare_pipelines(const config::Document& document, const config::Backup& backup,
                                                        const Sandbox& sandbox, TimePoint held_until,
                                                        const std::stop_token& stop);

/// The database of a connection's URL; "" where it names none.
std::string database_of(const config::Document& document, const std::string& connection);
/// The user, likewise.
std::string user_of(const config::Document& document, const std::string& connection);

}  // namespace penstock::app
