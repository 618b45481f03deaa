#pragma once

#include "app/options.h"
#include "backup/recovery.h"

namespace penstock::app {

/// Where `--latest`, `--to-time`, `--to-lsn`, `--to-name` or `--to-xid` want a restore to end: the latest state where none is given.
Result<backup::RecoveryTarget> read_target(const Options& options);

}  // namespace penstock::app
