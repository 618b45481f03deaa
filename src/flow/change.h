#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "data/type.h"
#include "flow/source.h"

namespace penstock::flow {

/// A part of changes (TableInfo::changes) is a scan whose columns are the table's, in the order of TableInfo::schema, followed
/// by those named here. Several readers get its rows in no particular order: positions order them, and no two changes have the
/// same one. One reader alone gets them in the order of their positions, which is that of the source's commits.
///
/// A part that is nothing but rows of a snapshot may end after `committed_at`: then every `op` is 'r', each key comes once, and
/// rows go straight into an empty target.
namespace change {

/// 'r' a row of a snapshot, 'c' insert, 'u' update, 'd' delete, 't' truncate (all columns of the table are NULL). An update
/// that moves a row to another key comes as 'd' with the old key, then 'c' with the new one: neighbours in one block, with
/// ordinals 2n and 2n+1; all other changes have even ordinals, but for some 'u'. Without key, every update comes
/// as 'd' with the whole old row, then 'c' with the whole new one.
inline constexpr const char* op = "_penstock_op";
/// Sorts as text: see position_of(). All rows of a snapshot have the position where the stream begins.
inline constexpr const char* position = "_penstock_position";
/// When the source's transaction committed.
inline constexpr const char* committed_at = "_penstock_committed_at";
/// "" or one character a column of the table, '1' where the source sent no value because it had not changed (TOAST): the
/// cell is NULL and means nothing. Only in rows 'u', and in rows 'c' that have an identity.
inline constexpr const char* unchanged = "_penstock_unchanged";
/// NULL, or a number > 0 that follows one row through changes of its key: a row 'c' that moved a row and has values that
/// were not sent starts it, and all later changes of that row in the part carry it.
inline constexpr const char* identity = "_penstock_identity";
/// With an identity: the key under which the row stood before the change that started it. `key_column` counts TableInfo::key
/// from 0.
std::string origin(size_t key_column);
/// Only where TableInfo::old_rows, NULL where not known: the number of the source's transaction, a 64-bit integer.
inline constexpr const char* transaction = "_penstock_transaction";
/// Only where TableInfo::full_old_rows: what column i held before an update, in rows 'u'; NULL in all others. Updates of rows
/// without key come as 'u' as well then. A 'd' holds the old row in the table's own columns, as always.
std::string before(size_t column);

/// Columns that a target of changes has after the source's.
/// `position` of the last change of the row, and when it was written to the target:
inline constexpr const char* synced_at = "_penstock_synced_at";
/// In history, of changes or not: a version of a key is valid from the one to the other, NULL while it is the current one.
inline constexpr const char* valid_from = "_penstock_valid_from";
inline constexpr const char* valid_to = "_penstock_valid_to";
/// With soft deletes and in history: a delete or truncate took the row away.
inline constexpr const char* deleted = "_penstock_deleted";

/// "00000000016B3748/000000000000002A": commit position and ordinal within the transaction.
std::string position_of(uint64_t commit_position, uint64_t ordinal);
/// The same into 33 bytes, without allocation.
inline constexpr size_t position_bytes = 33;
void write_position(char* out, uint64_t commit_position, uint64_t ordinal);

/// The columns of a part of changes of this table.
data::Schema part_schema(const TableInfo& info);
/// The columns of a part that is nothing but rows of a snapshot.
data::Schema snapshot_schema(const TableInfo& info);

}  // namespace change
}  // namespace penstock::flow
