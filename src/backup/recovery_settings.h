#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace penstock::backup {

struct BackupRecord;
struct Recovery;
struct RestoredTablespace;

/// What is put behind a restored postgresql.auto.conf, whose last word counts over every other file. `restore_command` is asked
/// for where there is a recovery.
std::string recovery_settings(const BackupRecord& record, const std::optional<Recovery>& recovery,
                              const std::string& restore_command);
/// A postgresql.conf for a server whose own is not among its data, as Debian's: what recovery and the libraries need.
std::string stand_in_settings(const std::map<std::string, std::string>& settings);
/// tablespace_map with the places of the restore (PostgreSQL, read_tablespace_map).
std::string tablespace_map(const std::vector<RestoredTablespace>& tablespaces);

}  // namespace penstock::backup
