#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "connect/postgres/replication/lsn.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

/// When a server's history went another way than that of the server it descends from: timeline `timeline` was left at `at`.
struct TimelineSwitch {
    int64_t timeline = 0;
    Lsn at;
    bool operator==(const TimelineSwitch&) const = default;
};

/// Which server, and how far it is: what must not change under a slot.
struct SystemIdentity {
    std::string system;    ///< system identifier, given by initdb; clones and standbys share it
    int64_t timeline = 0;  ///< grows with each promotion and point-in-time recovery
    Lsn flushed;           ///< end of its WAL; on a standby, of what was replayed
    std::string database;
    std::vector<TimelineSwitch> history = {};  ///< timelines it comes from, the oldest first
};

/// Over a replication session.
Result<SystemIdentity> identify_system(Session& replication);

/// A timeline history file (PostgreSQL: timeline.c): one line a timeline left, "1<tab>0/3000060<tab>why".
std::vector<TimelineSwitch> parse_timeline_history(std::string_view content);

struct SlotRequest {
    std::string name;
    std::string plugin = "pgoutput";
    bool temporary = false;  ///< goes with the session
    bool two_phase = false;  ///< prepared transactions are sent when prepared; servers before 14 send them at commit
    bool failover = false;   ///< kept on standbys: 17 and later, and not of a temporary slot; left out elsewhere
};

struct CreatedSlot {
    Lsn consistent_point;  ///< all that commits later is streamed; all before is in the snapshot
    std::string snapshot;  ///< for SET TRANSACTION SNAPSHOT; lives until the session does anything else, or ends
};

/// What is sent for it; the syntax changed with 15.
std::string create_slot_command(const SlotRequest& request, int server_version);

/// Creates a logical slot and exports its snapshot. Waits for every transaction that writes now to end, saying so every ten
/// seconds; a stop ends the wait and leaves no slot. `replication` must be of the replication channel and then left alone
/// while the snapshot is needed.
Result<CreatedSlot> create_slot(Session& replication, const SlotRequest& request, std::stop_token stop);

/// Creates a physical slot that keeps the log from the last checkpoint on, at once; from where. It is temporary where it goes
/// with the session. The server is 15 or later.
Result<Lsn> create_physical_slot(Session& replication, const std::string& name, bool temporary);

/// A slot as the server sees it. What older servers do not tell is absent.
struct SlotState {
    std::string name;
    std::string plugin;  ///< "" of a physical one, as is the database
    std::string database;
    bool logical = true;
    bool temporary = false;
    bool active = false;
    int32_t active_pid = 0;
    std::string holder;              ///< who reads it, in words; "" nobody
    std::optional<Lsn> restart_lsn;  ///< WAL is kept from here on
    std::optional<Lsn> confirmed_flush_lsn;
    std::string wal_status;                 ///< reserved, extended, unreserved, lost; "" before 13
    std::optional<int64_t> safe_wal_size;   ///< bytes that may still be written before it can be lost
    std::optional<int64_t> retained_bytes;  ///< of WAL, kept for it now
    bool two_phase = false;
    bool failover = false;
    bool synced = false;              ///< a standby's copy of the primary's slot
    std::string invalidation_reason;  ///< why it is lost, "" while it is not; 17 and later
    std::optional<int64_t>
        transactions;  ///< it has sent since its creation or the last loss of statistics; 14 and later

    bool lost() const { return wal_status == "lost" || !invalidation_reason.empty(); }
};

/// Sessions of either channel.
Result<std::vector<SlotState>> list_slots(Session& session);
Result<std::optional<SlotState>> find_slot(Session& session, const std::string& name);
Status drop_slot(Session& session, const std::string& name);

/// Moves the slot forward, giving up all changes up to there; returns where it stands then.
Result<Lsn> advance_slot(Session& session, const std::string& name, Lsn to);

}  // namespace penstock::postgres
