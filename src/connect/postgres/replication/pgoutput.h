#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace penstock::postgres {

/// Messages of pgoutput, protocols 1 to 4 (PostgreSQL's documentation, "Logical Replication Message Formats").
///
/// Everything here is a view: texts and values point into the message, lists into the decoder. A message is good until
/// the next call of decode(), and as long as its bytes stay where they are.
/// Times are microseconds since 2000-01-01 UTC (epoch_micros in wire.h leads to 1970). LSNs and xids are as they came.

/// One row, or the key of one.
struct Tuple {
    struct Value {
        char kind = 'n';              ///< 'n' NULL, 'u' not sent (unchanged TOAST), 't' text form, 'b' binary form
        std::string_view bytes = {};  ///< of 't' and 'b'; not terminated
    };
    std::span<const Value> values;  ///< as many as the relation has columns; of a 'K' tuple all but the key are NULL
    std::string_view bytes;         ///< the same as it came, column count first: what decode_tuple() takes
};

/// Which columns an old tuple holds.
enum class OldTuple : char {
    none = 0,    ///< not sent: the key did not change
    key = 'K',   ///< the replica identity's columns
    full = 'O',  ///< all columns (REPLICA IDENTITY FULL)
};

struct RelationColumn {
    bool key = false;  ///< part of the replica identity (all columns with FULL)
    std::string_view name;
    uint32_t type = 0;           ///< oid in pg_type
    int32_t type_modifier = -1;  ///< atttypmod
};

struct Begin {
    uint64_t final_lsn = 0;  ///< of the commit record: the same as Commit::commit_lsn
    int64_t committed_at = 0;
    uint32_t xid = 0;
};

struct Commit {
    uint64_t commit_lsn = 0;
    uint64_t end_lsn = 0;  ///< what may be confirmed once the transaction is durable
    int64_t committed_at = 0;
};

/// The transaction was replicated from elsewhere.
struct Origin {
    uint64_t commit_lsn = 0;  ///< on the origin; 0 inside a stream block
    std::string_view name;
};

/// Comes before the first change of a relation, and again when the relation may have changed.
/// `xid`, here and in what follows: the (sub)transaction the message belongs to inside a stream block, else 0.
struct RelationMessage {
    uint32_t xid = 0;
    uint32_t relation = 0;    ///< oid in pg_class; changes refer to it
    std::string_view schema;  ///< never empty
    std::string_view name;
    char replica_identity = 'd';  ///< 'd' default (primary key), 'n' nothing, 'f' full, 'i' index
    std::span<const RelationColumn> columns;
};

/// Names a type that is not built in; of a domain its base type's name.
struct TypeMessage {
    uint32_t xid = 0;
    uint32_t type = 0;
    std::string_view schema;  ///< never empty
    std::string_view name;
};

struct Insert {
    uint32_t xid = 0;
    uint32_t relation = 0;
    Tuple row;
};

struct Update {
    uint32_t xid = 0;
    uint32_t relation = 0;
    OldTuple old_kind = OldTuple::none;
    Tuple old_row;
    Tuple row;
};

struct Delete {
    uint32_t xid = 0;
    uint32_t relation = 0;
    OldTuple old_kind = OldTuple::key;  ///< never none
    Tuple old_row;
};

struct Truncate {
    uint32_t xid = 0;
    bool cascade = false;
    bool restart_identity = false;
    std::span<const uint32_t> relations;  ///< all that were emptied by the one statement, CASCADE's too
};

/// Of pg_logical_emit_message().
struct LogicalMessage {
    uint32_t xid = 0;
    bool transactional = false;  ///< otherwise it stands outside of any transaction, and comes at once
    uint64_t lsn = 0;
    std::string_view prefix;
    std::string_view content;  ///< any bytes
};

/// Opens a block of changes of one transaction that is still going on; StreamStop closes it.
struct StreamStart {
    uint32_t xid = 0;    ///< top-level transaction
    bool first = false;  ///< the transaction's first block
};

struct StreamStop {};

struct StreamCommit {
    uint32_t xid = 0;
    uint64_t commit_lsn = 0;
    uint64_t end_lsn = 0;
    int64_t committed_at = 0;
};

/// A streamed transaction (subxid == xid) or one of its subtransactions is undone.
struct StreamAbort {
    uint32_t xid = 0;
    uint32_t subxid = 0;
    std::optional<uint64_t> abort_lsn;  ///< sent with Streaming::parallel, as is the time
    std::optional<int64_t> aborted_at;
};

/// What two-phase messages have in common. A gid is unique among what is prepared at one time, not for ever.
struct PreparedTransaction {
    uint64_t lsn = 0;      ///< of the record: PREPARE, or COMMIT PREPARED
    uint64_t end_lsn = 0;  ///< of the record's end
    int64_t at = 0;
    uint32_t xid = 0;
    std::string_view gid;
};

struct BeginPrepare : PreparedTransaction {};
struct Prepare : PreparedTransaction {};
struct CommitPrepared : PreparedTransaction {};
struct StreamPrepare : PreparedTransaction {};

struct RollbackPrepared {
    uint64_t prepare_end_lsn = 0;
    uint64_t end_lsn = 0;
    int64_t prepared_at = 0;
    int64_t rolled_back_at = 0;
    uint32_t xid = 0;
    std::string_view gid;
};

using PgMessage = std::variant<Begin, Commit, Origin, RelationMessage, TypeMessage, Insert, Update, Delete, Truncate,
                               LogicalMessage, StreamStart, StreamStop, StreamCommit, StreamAbort, BeginPrepare,
                               Prepare, CommitPrepared, RollbackPrepared, StreamPrepare>;

/// The stream's option `streaming`, as it was asked for.
enum class Streaming {
    off,
    on,        ///< protocol 2 and later
    parallel,  ///< protocol 4 and later
};

/// Splits messages into their fields. Any bytes may be given: what does not follow the protocol is an Error of kind
/// data and code "replication_protocol", after which the stream must be started anew (with another decoder).
/// Allocates nothing once its lists have grown to the widest message. Not for several threads.
class PgoutputDecoder {
  public:
    /// Both as asked for in START_REPLICATION; they decide which messages may come and how some are laid out.
    explicit PgoutputDecoder(int protocol_version, Streaming streaming = Streaming::off);

    /// One message: the payload of one XLogData.
    Result<PgMessage> decode(std::string_view message);

    /// Between a StreamStart and its StreamStop.
    bool in_stream() const { return in_stream_; }

  private:
    Status check_place(char type) const;

    int protocol_version_;
    Streaming streaming_;
    bool in_stream_ = false;
    std::vector<Tuple::Value> values_;
    std::vector<Tuple::Value> old_values_;
    std::vector<RelationColumn> columns_;
    std::vector<uint32_t> relations_;
};

/// A tuple that was kept as bytes (Tuple::bytes), into a list that is used again and again. Its values are views into
/// `bytes`.
Status decode_tuple(std::string_view bytes, std::vector<Tuple::Value>& into);

}  // namespace penstock::postgres
