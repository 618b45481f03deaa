#pragma once

#include <map>
#include <string>
#include <vector>

namespace penstock::backup {

struct BackupRecord;
struct RestoredTablespace;

/// What is put behind a restored postgresql.auto.conf, whose last word counts over every other file.
std::string recovery_settings(const BackupRecord& record);
/// A postgresql.conf for a server whose own is not among its data, as Debian's: what recovery and the libraries need.
std::string stand_in_settings(const std::map<std::string, std::string>& settings);
/// tablespace_map with the places of the restore (PostgreSQL, read_tablespace_map).
std::string tablespace_map(const std::vector<RestoredTablespace>& tablespaces);

}  // namespace penstock::backup
