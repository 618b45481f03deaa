#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/catalog.h"

namespace penstock::backup {

/// An object that is not what was written, and the files that it holds a piece of; or a file that is not what the server said.
struct Fault {
    std::string object;  ///< its URL; "" where all objects are whole
    std::string what;
    std::vector<std::string> files;  ///< below the data folder; empty where that cannot be told
};

struct VerifyReport {
    uint64_t objects = 0;  ///< read
    uint64_t bytes = 0;    ///< of the server's files, compared
    uint64_t files = 0;
    std::vector<Fault> faults;
};

/// Reads every object of a backup and compares every file with the server's manifest. An error only where the store does not
/// answer: what is damaged or missing is a fault of the report.
Result<VerifyReport> verify_backup(const Catalog& catalog, const BackupRecord& record, unsigned threads,
                                   const std::stop_token& stop);

}  // namespace penstock::backup
