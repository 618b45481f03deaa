#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backup/wal_store.h"
#include "connect/postgres/replication/slot.h"

namespace penstock::backup {

/// Where a server's log is asked for, and how much of it the store has.
struct WalStart {
    uint32_t timeline = 0;
    Lsn from;    ///< the beginning of a block or segment
    Lsn stored;  ///< the store has all from `from` up to here
};

/// The timeline that a server was on when its log was at this place.
uint32_t timeline_at(const postgres::SystemIdentity& server, Lsn at);
/// The one that followed it in this server's history, and where; nothing where it is the server's own.
std::optional<postgres::TimelineSwitch> next_timeline(const postgres::SystemIdentity& server, uint32_t timeline);

/// Where to go on behind what is stored. Refused (codes `diverged`, `server_behind`) where the server does not come from it.
/// A timeline that the server left before the end of what is stored is passed over: then `from` is the next one's beginning.
Result<WalStart> find_wal_start(const WalStretch& stored, const WalLayout& layout,
                                const postgres::SystemIdentity& server, const std::string& backup);

/// Puts a timeline's history and marks that its log begins in this segment. Refused (`diverged`) where another history is
/// stored under its number.
Status enter_timeline(postgres::Session& replication, const WalStore& store, const WalIndex& index, uint32_t timeline,
                      Lsn at);

/// The error of log that is neither in the store nor on the server.
Error wal_gap(const std::string& backup, const std::string& slot, Lsn stored, std::string_view why);

}  // namespace penstock::backup
