#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/drill/sandbox.h"
#include "app/verified.h"
#include "config/diagnostics.h"
#include "config/document.h"

namespace penstock::app {

/// A pipeline whose target was compared with the restored server.
struct ComparedPipeline {
    std::string name;
    std::vector<VerifiedTable> tables;
    std::optional<Error> error;  ///< why it could not be compared
    std::string note;            ///< what the differences may come from; "" nothing that is known

    bool equal() const;
};

/// Of `drill: {verify: …}` what a drill cannot do, by name: pipelines that are not there, read no PostgreSQL, stand for many, or
/// capture changes. Of those the target has what was committed up to its slot's position; the restored server, which is on a
/// timeline of its own and has no slot, cannot be brought to that position, and a drain of the slot would take from production.
void check_compared(const config::Document& document, const config::Backup& backup, config::Diagnostics& diagnostics);

/// Compares the pipelines' targets with the restored server as their source. Rows that the next run would read are no differences, as
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
