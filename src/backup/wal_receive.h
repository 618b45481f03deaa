#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include "backup/wal_store.h"
#include "connect/postgres/options.h"

namespace penstock::backup {

struct WalRequest {
    std::string name;  ///< of the backup in the configuration
    std::string slot;
    std::chrono::milliseconds interval =
        std::chrono::seconds(10);  ///< what was received is stored after this, at the latest
    bool follow = true;            ///< until stopped; or up to what the server has written when it is asked first
    bool accept_gap = false;       ///< where the log behind what is stored is gone: go on behind the gap
};

struct WalReport {
    uint32_t timeline = 0;
    Lsn from, to;  ///< stored now, since the beginning
    uint64_t bytes = 0;
    uint64_t stored_bytes = 0;
    uint64_t objects = 0;
    uint64_t connections = 0;
    bool stopped = false;
};

/// Receives the server's log through a physical replication slot and stores it (wal_store.h):
///
///     server -- XLogData --> one block in memory -- piece --> store
///     server <-- flushed up to here ----------------------- when the store has it (I1)
///
/// The slot makes the server keep what is not stored yet. Where to go on is known by the store alone. Where the server left its
/// timeline it is followed to the next one. A lost connection or a store that does not answer is tried again while following.
///
/// Refused: another server, a server that does not descend from what is stored (code `diverged`), one that was set back
/// (`server_behind`), and log that is gone (`wal_gap`), which `accept_gap` accepts.
Result<WalReport> receive_wal(const postgres::ConnectionOptions& server, const Catalog& catalog,
                              const WalRequest& request, const std::stop_token& stop);

}  // namespace penstock::backup
