#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/commands.h"
#include "config/document.h"
#include "schedule/plan.h"

namespace penstock::app {

/// What can be done of a backup.
inline constexpr std::array<std::string_view, 3> backup_kinds = {"full", "incremental", "drill"};

/// "shop_db:full". No pipeline has such a name.
std::string backup_job(const config::Backup& backup, std::string_view kind);

/// The times of one of the kinds; null where it has none.
const config::Times* times_of(const config::Backup& backup, std::string_view kind);

/// Backups and drills as the scheduler sees them, those without times for whoever asks for one. Of one backup only one thing is done
/// at a time.
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
