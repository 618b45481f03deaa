#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::postgres {

/// What the output plugin wal2json writes: format 2 (an object a change) and format 1 (an object a transaction), both
/// with whichever of its include-… options are on. Both come out as the same sequence of changes.
///
/// What wal2json does not tell, whatever its options:
/// - Format 1 leaves TRUNCATE out.
/// - NaN and the infinities of numeric and float columns are null, unless `numeric-data-types-as-string` is on, which
///   wal2json 2.5 and older do not have.
/// - Values are the text of the replication connection's settings: it must have set bytea_output = hex,
///   extra_float_digits, DateStyle, IntervalStyle and TimeZone.
/// - A message of pg_logical_emit_message() ends at its first zero byte.

/// A column of a change. Columns that are not there were not sent (unchanged TOAST): names tell, not positions.
struct Wal2jsonColumn {
    std::string_view name;
    std::string_view type;  ///< as format_type() writes it; empty without include-types
    uint32_t type_oid = 0;  ///< 0 without include-type-oids
    char kind = 'n';        ///< 'n' NULL, 't' text: as Tuple::Value
    /// PostgreSQL's text of the value: numbers with all their digits, booleans as "t" and "f", bytea with its \x (which
    /// wal2json leaves out, and which is put back where the type is known from name or oid).
    std::string_view text;
    std::string_view json;  ///< the value as it stands in the message
};

struct Wal2jsonChange {
    char action = 0;  ///< 'B' begin, 'C' commit, 'I' insert, 'U' update, 'D' delete, 'T' truncate, 'M' message
    std::optional<uint32_t> xid;
    std::optional<uint64_t> lsn;          ///< format 2: the change's own; of 'B' and 'C' the commit record's
    std::optional<uint64_t> next_lsn;     ///< the commit record's end: format 2 in 'B' and 'C', format 1 everywhere
    std::optional<int64_t> committed_at;  ///< microseconds since 2000-01-01 UTC
    std::string_view schema;              ///< empty without include-schemas
    std::string_view table;
    std::span<const Wal2jsonColumn> columns;  ///< 'I', 'U': the new row
    /// 'U', 'D': the replica identity of the old row, or with REPLICA IDENTITY FULL all of it. An update whose key did
    /// not change has the new row's. Format 1 leaves NULLs out.
    std::span<const Wal2jsonColumn> identity;
    std::span<const Wal2jsonColumn> primary_key;  ///< with include-pk; names and types only
    bool transactional = true;                    ///< 'M'; otherwise it stands outside of any transaction
    std::string_view prefix;                      ///< 'M'
    std::string_view content;                     ///< 'M'
};

enum class Wal2jsonFormat {
    transactions = 1,  ///< format-version 1
    changes = 2,       ///< format-version 2
    chunks = 3,        ///< format-version 1 with write-in-chunks: no transaction need fit into memory
};

/// Takes messages apart. Any bytes may be given: what wal2json does not write is an Error of kind data and code
/// "replication_protocol", after which the stream must be started anew (with another decoder). One thing is forgiven
/// that is no JSON: wal2json writes quoted type names of other schemas as they are ("type":"My Schema".mood).
/// Not for several threads.
class Wal2jsonDecoder {
  public:
    explicit Wal2jsonDecoder(Wal2jsonFormat format);
    ~Wal2jsonDecoder();
    Wal2jsonDecoder(Wal2jsonDecoder&&) noexcept;
    Wal2jsonDecoder& operator=(Wal2jsonDecoder&&) noexcept;

    /// The next message: the payload of one XLogData. It must stay where it is until its changes are taken.
    void feed(std::string_view message);

    /// The next change of the message; false when there is none left. Format 1: 'B', the changes, 'C', or 'M' alone if
    /// it stands outside of any transaction. Views are good until the next call.
    Result<bool> next(Wal2jsonChange& change);

  private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace penstock::postgres
