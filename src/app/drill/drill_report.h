#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/drill/compared_pipelines.h"
#include "app/drill/owner_queries.h"
#include "app/drill/page_checks.h"
#include "backup/recovery.h"
#include "base/clock.h"

namespace penstock::app {

/// A stretch of a drill, in seconds since its begin.
struct DrillPhase {
    std::string name;
    double begin = 0, seconds = 0;
};

/// What a drill has found. Members whose phase was not reached are as they are made here.
struct DrillReport {
    std::string id;
    std::string backup;  ///< of the configuration
    TimePoint started_at, ended_at;
    std::optional<backup::BackupRecord> record;  ///< restored
    std::optional<backup::Recovery> recovery;
    /// The restored state holds all that had been committed then: the server's time of the last transaction in it, or, where none came
    /// behind the backup, of the backup's end.
    std::optional<TimePoint> held_until;
    bool isolated = false;
    /// Seconds from the begin of the drill, before the catalog was read, until the restored server had ended its recovery and answered a query.
    std::optional<double> rto;
    /// Seconds from the last transaction that the store has (or the backup's end, where it has none behind that) to the begin of the drill:
    /// what is lost at most, were the server lost at that moment. A server on which nobody writes loses nothing, and yet it grows.
    std::optional<double> rpo;
    std::vector<DrillPhase> phases;
    std::vector<QueryOutcome> queries;
    std::optional<PageChecks> pages;
    std::vector<ComparedPipeline> compared;
    std::optional<Error> error;  ///< that ended the drill early

    bool passed() const;
    /// What is wrong, a sentence each.
    std::vector<std::string> failures() const;
};

nlohmann::ordered_json drill_json(const DrillReport& report);
std::string drill_text(const DrillReport& report);
/// A page of its own, with a chart of the phases.
std::string drill_page(const DrillReport& report);

/// Puts `drills/<id>.html`, `drills/<id>.json` and last `drills/<id>.hmac` below the backup's place: without the last there is no report. That
/// holds, in the form of sha256sum, the HMAC-SHA256 of both under the store's key. The URL of the second.
Result<std::string> store_report(const DrillReport& report, const backup::Catalog& catalog);

}  // namespace penstock::app
