#pragma once

#include <optional>
#include <vector>

#include "backup/catalog.h"
#include "backup/recovery.h"

namespace penstock::backup {

/// What can be restored from one backup: any time from its end on, up to here.
struct RecoveryWindow {
    uint32_t timeline = 0;
    postgres::Lsn to;
    std::optional<TimePoint> to_time;  ///< of the last transaction
    bool missing = false;              ///< log that should follow is not there
};

/// For each entry in turn; nothing where no log is stored behind it, and where the entry cannot be read.
Result<std::vector<std::optional<RecoveryWindow>>> recovery_windows(const Catalog& catalog,
                                                                    const std::vector<Catalog::Entry>& entries);

}  // namespace penstock::backup
