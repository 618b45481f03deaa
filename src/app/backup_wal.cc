#include <fmt/format.h>

#include <cctype>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/backup_place.h"
#include "app/commands.h"
#include "app/output.h"
#include "app/usage_mistake.h"
#include "backup/wal_fetch.h"
#include "backup/wal_receive.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

/// PostgreSQL takes an exit code up to 125 of its restore_command for "there is no such file", and ends recovery there. Any other
/// failure must not look like that.
constexpr int wal_fetch_failed = 255;
constexpr int no_such_wal = 1;

/// The configured slot, or one with the backup's name in the letters that slots may have.
std::string slot_of(const config::Backup& backup) {
    if (!backup.wal.slot.value.empty()) return backup.wal.slot.value;
    std::string name = "penstock_wal_" + backup.name;
    for (char& c : name)
        c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? static_cast<char>(std::tolower(c)) : '_';
    return name.substr(0, 63);
}

Status show_received(const Session& session, const backup::WalReport& report, double seconds) {
    if (session.json())
        return print_json({{"timeline", report.timeline},
                           {"from_lsn", report.from.text()},
                           {"to_lsn", report.to.text()},
                           {"bytes_received", report.bytes},
                           {"bytes_stored", report.stored_bytes},
                           {"objects", report.objects},
                           {"connections", report.connections},
                           {"stopped", report.stopped},
                           {"duration_seconds", seconds}});
    return print(fmt::format("the log is stored up to {} of timeline {}: {} received, {} in {} objects, in {}\n",
                             report.to.text(), report.timeline, humane_bytes(report.bytes),
                             humane_bytes(report.stored_bytes), humane_count(static_cast<int64_t>(report.objects)),
                             humane_duration(std::chrono::duration<double>(seconds))));
}

Result<bool> fetch(const Session& session) {
    PN_TRY(auto place, open_backup(session));
    return backup::fetch_wal(place->catalog, session.options.names[1], session.options.names[2]);
}

}  // namespace

Result<int> command::backup_wal(const Session& session) {
    if (session.options.drain && session.options.follow)
        return fail(misused("drain_and_follow", "--drain and --follow exclude one another", "leave out one of them"));
    PN_TRY(auto place, open_backup(session));
    const auto& wal = place->backup->wal;
    if (!wal.stream)
        return fail({.kind = ErrorKind::configuration,
                     .code = "wal_not_streamed",
                     .message = fmt::format("backups.{}.wal: `stream: false` says that the log is not kept",
                                            place->backup->name),
                     .where = place->backup->place.text(),
                     .hint = "set `stream: true`"});
    PN_TRY(auto server, backup_server(place->document, *place->backup));
    auto begin = std::chrono::steady_clock::now();
    PN_TRY(auto report,
           backup::receive_wal(server, place->catalog,
                               {.name = place->backup->name,
                                .slot = slot_of(*place->backup),
                                .interval = std::chrono::duration_cast<std::chrono::milliseconds>(wal.interval),
                                .follow = !session.options.drain,
                                .accept_gap = session.options.accept_gap},
                               session.stop));
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    PN_CHECK(show_received(session, report, took.count()));
    return report.stopped ? exit_code(ErrorKind::interrupted) : 0;
}

Result<int> command::backup_wal_fetch(const Session& session) {
    auto fetched = fetch(session);
    if (fetched) return *fetched ? 0 : no_such_wal;
    print_error(fetched.error(), session.log_format);
    return wal_fetch_failed;
}

}  // namespace penstock::app
