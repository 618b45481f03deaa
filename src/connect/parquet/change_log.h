#pragma once

#include <string>

#include "connect/parquet/evolution.h"
#include "data/type.h"
#include "flow/sink.h"

namespace penstock::parquet {

/// Changes are kept as a log: every change is a row, and nothing that was published is ever written again. A row has the
/// table's columns, then
///
///   _penstock_op            'r' a row of a snapshot, 'c' insert, 'u' update, 'd' delete (the key only, with REPLICA IDENTITY FULL
///                           all of the row), 't' truncate
///   _penstock_position      sorts as text, no two changes have the same; all rows of a snapshot have that of its moment
///   _penstock_committed_at
///   _penstock_unchanged     names of columns that the source did not send because they had not changed: NULL in this row
///
/// An update that moves a row to another key is a 'd' and a 'c' whose position is the next one.

/// Where columns of the log come from: the table's, then those above.
data::Schema log_schema(const flow::TableInfo& info);

/// What a load is given, or what it writes of it: the log of changes, else the scan's columns.
data::Schema source_schema(const flow::TableTarget& target, const data::Schema& scan);

/// The value of a column of log_schema() in a scan of changes, whose columns are called s0, s1, …
std::string log_value(const flow::TableInfo& info, const data::Schema& scan, const Shape& shape, size_t column);

}  // namespace penstock::parquet
