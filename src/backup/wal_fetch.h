#pragma once

#include <filesystem>
#include <string>

#include "backup/wal_store.h"

namespace penstock::backup {

/// PostgreSQL's restore_command: writes the file of the log that it asks for by name ("000000010000000000000003",
/// "00000002.history"), whole; what of the last segment is not stored is zeros, as in a segment that the server has made and not
/// filled. False where the store has none and recovery may end: an error where it should have it, for what follows is there.
Result<bool> fetch_wal(const Catalog& catalog, const std::string& file, const std::filesystem::path& into);

/// The error of log that something behind it shows to be missing.
Error missing_wal(const WalStore& store, const WalStretch& behind);

}  // namespace penstock::backup
