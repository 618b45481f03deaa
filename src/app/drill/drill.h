#pragma once

#include "app/backup_place.h"
#include "app/drill/drill_report.h"

namespace penstock::app {

struct DrillRequest {
    std::string backup;  ///< the beginning of an id; "" the newest from which the target can be reached
    backup::RecoveryTarget target;
    bool keep = false;  ///< the sandbox's folder stays
};

/// Restores a backup into a sandbox, starts it, asks it the owner's queries, reads all its pages, and compares pipelines with it. Whatever
/// fails is in the report; an error only where no drill could be begun, or it was stopped.
Result<DrillReport> run_drill(const BackupPlace& place, const DrillRequest& request, const std::stop_token& stop);

}  // namespace penstock::app
