#pragma once

#include <stop_token>
#include <string>

#include "backup/catalog.h"
#include "connect/postgres/options.h"

namespace penstock::backup {

struct TakeRequest {
    std::string id;    ///< new: no other backup has it
    std::string name;  ///< of the configuration
    unsigned threads = 2;
    /// What changed since the newest backup, where there is one; else all.
    bool incremental = false;
};

/// Takes a backup of the connection's server and puts it into the catalog's store, through memory alone. Every file is
/// compared with the server's manifest on its way; one that differs is an error of code `backup_differs`. The catalog entry
/// comes last, when all parts are there. What an error leaves is removed as far as the store allows; what a kill leaves is
/// never used.
Result<BackupRecord> take_backup(const postgres::ConnectionOptions& server, const Catalog& catalog,
                                 const TakeRequest& request, std::stop_token stop);

}  // namespace penstock::backup
