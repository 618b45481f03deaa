#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "backup/verify.h"
#include "backup/wal_store.h"

namespace penstock::backup {

struct WalVerifyReport {
    uint64_t objects = 0;  ///< read
    uint64_t bytes = 0;    ///< of log
    struct Stretch {
        uint32_t timeline;
        Lsn from, to;
    };
    std::vector<Stretch> stretches;
    std::vector<Fault> faults;
};

/// Reads every object of the stored log, and looks for what is missing between them: a stretch that does not say that it begins,
/// a timeline without its history, or one that ends before the next began. Nothing where no log is stored. An error only where
/// the store does not answer.
Result<std::optional<WalVerifyReport>> verify_wal(const Catalog& catalog, const std::stop_token& stop);

}  // namespace penstock::backup
