#pragma once

#include "base/error.h"
#include "connect/duckdb/changes.h"

namespace penstock::duckdb {

/// The newest position in a target, as this connection knows it. A stream brings ever newer changes: where all of a part are newer
/// than any row of the target, no row has to be asked whether it has its change already. The target is looked at once, by its first
/// part; from then on each part tells. What is remembered lies in a TEMP table, so that it goes back with the transaction.
class NewestPosition {
  public:
    explicit NewestPosition(Load& load) : load_(load) {}

    Result<bool> is_before(const Changes& part);
    /// After the part has been applied.
    Status move_to(const Changes& part);
    /// The target has been filled in another way.
    Status forget();

  private:
    std::string of_target() const;

    Load& load_;
};

}  // namespace penstock::duckdb
