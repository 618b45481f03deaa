#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "connect/postgres/capture/change_scan.h"
#include "connect/postgres/capture/relation_columns.h"
#include "connect/postgres/replication/replication_stream.h"

namespace penstock::postgres {

/// A captured table as its changes are met in the stream.
struct IntakeTable {
    const ChangeTable* table = nullptr;
    std::shared_ptr<ChangeShapes> shapes;  ///< of the tuples that are put into the log
    Lsn from;  ///< what committed before is not wanted, and may have come in shapes that nobody knows any more
    bool aside = false;                    ///< its changes are not wanted
    std::vector<KnownColumns> known = {};  ///< oldest first
};

/// The table's columns as the catalog has them now, those that were dropped included; an error when they are not those that the
/// table was planned with, or the message has one that is new. On the pump's thread.
using ColumnsNow = std::function<Result<CatalogNow>(const ChangeTable&, const RelationMessage&)>;

/// What an output plugin writes, into the log of changes: one for each plugin. On the pump's thread.
class ChangeIntake {
  public:
    virtual ~ChangeIntake() = default;

    /// One message. Where it ends a transaction that is in the log now: what may be confirmed when that is durable; else 0.
    virtual Result<Lsn> take(const ReplicationStream::Received& received) = 0;
};

/// A change of a table that was dropped and made anew under the same name.
Error made_anew(const flow::TableInfo& table);

}  // namespace penstock::postgres
