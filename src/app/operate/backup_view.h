#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/schedule/view.h"
#include "config/document.h"

namespace penstock::app {

/// What the scheduler does, or somebody has asked it to do, of a backup.
struct BackupJobView {
    std::string job;                       ///< "shop_db:full"
    std::string kind;                      ///< "full"
    std::string state;                     ///< never run, waiting, running, success, failed, cancelled
    const config::Times* times = nullptr;  ///< null: only by hand
    ScheduleView schedule;
    std::optional<schedule::Interval> last;  ///< that ended
};

/// What the state knows of a backup: nobody else is asked. What was done by hand with `penstock backup run` and `drill` is no job, but
/// counts for the newest backup and the last drill.
struct BackupView {
    const config::Backup* backup;
    std::vector<BackupJobView> jobs;
    std::optional<TimePoint> newest_at, drill_at;
    bool drill_passed = false;
    std::optional<double> drill_rto, drill_rpo;  ///< seconds
};

/// Of all of the configuration, in its order. The document must outlive them.
Result<std::vector<BackupView>> view_backups(const config::Document& document);

/// As the API's `/backups` and `penstock status` show it.
nlohmann::ordered_json backups_json(const std::vector<BackupView>& all);
/// For people; "" where there are none.
std::string backups_text(const std::vector<BackupView>& all);

}  // namespace penstock::app
