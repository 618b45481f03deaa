#pragma once

#include <memory>
#include <stop_token>

#include "base/error.h"
#include "data/block.h"
#include "flow/accounting.h"
#include "flow/position.h"
#include "flow/reject.h"

namespace penstock::flow {

/// What a scan reports to while it is pulled. Owned by the runner, outlives the scan.
struct ScanContext {
    Progress& progress;
    RejectLog& rejects;
    std::stop_token stop;
};

/// Pulled by one thread at a time.
class ScanReader {
  public:
    virtual ~ScanReader() = default;
    /// Decodes the next rows into the block, which the caller has cleared; sets `block.rows`, 0 at the end. Strings in the
    /// block stay valid until the next call. Rows that cannot be held go to the context's reject log instead.
    virtual Status fill(data::Block& block) = 0;
};

/// The rows of one table for one commit. A sink pulls them with threads of its own engine, one reader each, so that
/// decoding happens where the rows are needed and nothing queues in between.
class Scan {
  public:
    virtual ~Scan() = default;
    virtual const data::Schema& schema() const = 0;
    /// More threads than this gain nothing.
    virtual unsigned max_readers() const = 0;
    /// Any thread. The reader must not outlive the scan.
    virtual Result<std::unique_ptr<ScanReader>> reader() = 0;
    /// After every reader came to its end: the checkpoint these rows amount to.
    virtual Result<Checkpoint> finish() = 0;
};

}  // namespace penstock::flow
