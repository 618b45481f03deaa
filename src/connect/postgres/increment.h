#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "connect/postgres/catalog.h"
#include "connect/postgres/session.h"
#include "flow/position.h"

namespace penstock::postgres {

/// What a column must be to serve as a cursor, and what that means for finding late rows.
enum class CursorKind { none, whole, decimal, date, timestamp, timestamptz };

/// The kind of a cursor column by its type's name (domains resolved), or an error that names those that serve.
Result<CursorKind> cursor_kind(const std::string& type_name, const std::string& table, const config::Text& cursor);

/// What was going on in the server around the moment a snapshot was taken. Rows that are committed after the snapshot come
/// from transactions that were open then or began later; this is what tells them apart at the next run.
struct Surroundings {
    std::string system;          ///< system identifier of the cluster; xids mean nothing in another
    int64_t timeline = 0;        ///< nor do they after a failover that may have lost some
    std::string clock;           ///< server time just before the snapshot, as text
    int64_t clock_micros = 0;    ///< the same since 1970
    int64_t oldest_micros = 0;   ///< how long before it the oldest transaction then open had begun
    bool all_visible = true;     ///< every open transaction's start could be seen
    uint64_t snapshot_xmin = 0;  ///< 64-bit xid: all before it had ended
    uint64_t snapshot_xmax = 0;  ///< 64-bit xid: the next to be given
};

/// Reads them; `session` must not be inside the snapshot's transaction.
Result<Surroundings> read_surroundings(Session& session);

/// A position of a table read by cursor, kept as JSON in the checkpoint.
struct Increment {
    std::string cursor;  ///< largest value read, as text; "" when none yet
    int64_t raw = 0;     ///< the same as it is on the wire, for kinds with a fixed width
    Surroundings around;
    std::string of;  ///< what was read: cursor column, its type, condition and query; another has positions of its own
    /// The table as it stood: to see at the next run which columns are new, and whether its rows were written anew since.
    std::string relation;          ///< Relation::identity; "" of a query, and in positions of old
    std::vector<int32_t> columns;  ///< attnums
    std::map<Oid, int64_t> files;  ///< relfilenode of each leaf

    std::string to_json() const;
    static Result<Increment> from_json(const std::string& json);
};

/// The condition for rows that are new since `last`: a superset of them, exact up to rows read before that were written by
/// transactions open at the time. Late commits below the largest cursor are found by the row's xmin where the table has one
/// (`heap`), and by reading from the oldest open transaction's start on where it has not.
///
/// Why this is right: a row invisible to the last snapshot was written by a transaction that had no end then, so its xid is
/// not below the snapshot's xmin (PostgreSQL documentation, pg_current_snapshot). Rows with larger cursors are new anyway.
/// So `cursor > last OR xmin >= snapshot_xmin` misses nothing. For times a lower bound is added so that an index can help: the
/// oldest transaction's start then open, less a day. A clock that is wrong by more needs cursor_lag.
struct IncrementRequest {
    std::string column;  ///< quoted
    std::string type;    ///< SQL type of the cursor, for literals
    CursorKind kind = CursorKind::none;
    bool nullable = true;
    bool heap = false;
    std::string lag;  ///< of the user; "" for none
};
std::string increment_condition(const IncrementRequest& request, const Increment& last, const Surroundings& now);

/// Whether that condition leaves out rows at the largest cursor and below, and so some of several equal ones.
bool leaves_out_older(const IncrementRequest& request, const Increment& last, const Surroundings& now);

/// Checks the user's lag against the cursor's kind: a duration for times, a number for numbers.
Status check_lag(CursorKind kind, const config::Text& lag);

}  // namespace penstock::postgres
