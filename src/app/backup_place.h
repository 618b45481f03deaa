#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/commands.h"
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

/// A backup that a command names: what is configured, and where its objects are.
struct BackupPlace {
    config::Document document;
    const config::Backup* backup;
    backup::Catalog catalog;
};
Result<std::unique_ptr<BackupPlace>> open_backup(const Session& session);

/// Packing and opening take a core each; the network wants two at least.
unsigned backup_threads();

/// 15.4
std::string server_version_text(int version);

/// As `backup run`, `list` and `restore` print it.
nlohmann::ordered_json backup_json(const backup::BackupRecord& record);

/// The server of a backup.
Result<postgres::ConnectionOptions> backup_server(const config::Document& document, const config::Backup& backup);

}  // namespace penstock::app
