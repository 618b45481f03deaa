#include "backup/recovery_settings.h"

#include <fmt/format.h>

#include <utility>

#include "backup/recovery.h"
#include "backup/restore.h"

namespace penstock::backup {
namespace {

std::string quoted(const std::string& value) {
    std::string out = "'";
    for (char c : value) out += c == '\'' ? "''" : std::string(1, c);
    return out + "'";
}

/// The record that is the last of the target is known: positions between two records are told by it, too.
std::string target_setting(const Recovery& recovery) {
    const auto& target = recovery.target;
    switch (target.kind) {
        case RecoveryTarget::Kind::latest: return "";
        // Names of zones, "Z" among them, are not known yet where PostgreSQL reads this.
        case RecoveryTarget::Kind::time: {
            auto text = iso_time(target.time);
            return fmt::format("recovery_target_time = '{} {}+00'\n", text.substr(0, 10),
                               text.substr(11, text.size() - 12));
        }
        case RecoveryTarget::Kind::lsn:
            return fmt::format("recovery_target_lsn = '{}'\n", recovery.record.value_or(target.lsn).text());
        case RecoveryTarget::Kind::name: return fmt::format("recovery_target_name = {}\n", quoted(target.text));
        case RecoveryTarget::Kind::xid: return fmt::format("recovery_target_xid = '{}'\n", target.xid);
    }
    std::unreachable();
}

}  // namespace

std::string recovery_settings(const BackupRecord& record, const std::optional<Recovery>& recovery,
                              const std::string& restore_command) {
    std::string text = fmt::format(
        "\n# Written by `penstock backup restore` of {}. Look at each before this server takes over.\n"
        "# Nothing of this server may get into the archive of the one it was taken from:\n"
        "archive_mode = 'off'\narchive_command = ''\narchive_library = ''\n"
        "archive_cleanup_command = ''\nrecovery_end_command = ''\n"
        "recovery_target = ''\nrecovery_target_name = ''\nrecovery_target_time = ''\nrecovery_target_xid = ''\n"
        "recovery_target_lsn = ''\nrecovery_target_inclusive = 'on'\nrecovery_target_action = 'promote'\n",
        record.id);
    if (recovery) {
        text += "# The log comes from the store; recovery ends on a new timeline.\n";
        text += fmt::format("restore_command = {}\nrecovery_target_timeline = '{}'\n", quoted(restore_command),
                            recovery->timeline);
        text += target_setting(*recovery);
    } else {
        text +=
            "# The log that the backup needs is in pg_wal; recovery ends with it, on a new timeline.\n"
            "restore_command = 'false'\nrecovery_target_timeline = 'latest'\n";
    }
    text +=
        "# It follows nobody, and waits for no standby:\n"
        "primary_conninfo = ''\nprimary_slot_name = ''\nsynchronous_standby_names = ''\n";
    if (record.server_version >= 170000) text += "synchronized_standby_slots = ''\nsync_replication_slots = 'off'\n";
    return text;
}

std::string stand_in_settings(const std::map<std::string, std::string>& settings) {
    std::string text =
        "# Written by `penstock backup restore`: the server's own postgresql.conf is not among its data.\n"
        "# These are the settings that recovery and the tables need.\n";
    for (const auto& [name, value] : settings) text += fmt::format("{} = {}\n", name, quoted(value));
    return text;
}

std::string tablespace_map(const std::vector<RestoredTablespace>& tablespaces) {
    std::string text;
    for (const auto& one : tablespaces) {
        text += one.oid + " ";
        for (char c : one.into.string())
            text += c == '\n' || c == '\r' || c == '\\' ? std::string("\\") + c : std::string(1, c);
        text += "\n";
    }
    return text;
}

}  // namespace penstock::backup
