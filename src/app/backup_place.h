#pragma once

#include "backup/catalog.h"
#include "config/document.h"
#include "connect/postgres/options.h"

namespace penstock::app {

/// What can be known of `backups` without connecting: kinds of connections, paths, keys, places that two share.
Status check_backups(const config::Document& document);

/// The configuration's backup of this name, which check_backups() found good.
Result<const config::Backup*> find_backup(const config::Document& document, const std::string& name);

/// The place of a backup's objects. No request is made yet.
Result<backup::Catalog> open_catalog(const config::Document& document, const config::Backup& backup);

/// The server of a backup.
Result<postgres::ConnectionOptions> backup_server(const config::Document& document, const config::Backup& backup);

}  // namespace penstock::app
