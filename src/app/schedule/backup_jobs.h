#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/commands.h"
#include "config/document.h"
#include "schedule/plan.h"

namespace penstock::app {

/// Backups and drills that have times of their own, as the scheduler sees them: "shop_db:full". No pipeline has such a name. Of
/// one backup only one thing is done at a time.
Status add_backup_jobs(const config::Document& document, schedule::Jobs& jobs);

/// The backup of such a job; nothing of a pipeline's.
const config::Backup* backup_of(const config::Document& document, std::string_view job);

bool is_drill(std::string_view job);

/// The command that does such a job: "backup", "run", "shop_db", "--incremental"; nothing of a pipeline's.
std::vector<std::string> backup_command(std::string_view job);

/// Runs a command for the scheduler, where `--interval` says so, and puts on record what became of it. What fails there for good is given
/// to `tell` before.
Result<int> in_interval(const Session& session, const config::Document& document,
                        const std::function<Result<int>()>& run, const std::function<void(const Error&)>& tell);

}  // namespace penstock::app
