#pragma once

#include <memory>

#include "base/error.h"

namespace arrow {
class RecordBatch;
}

namespace penstock::bigquery {

/// Rows of one stream in its order, as BigQuery sends them. One thread at a time; destroyed, it ends its call.
class BatchFeed {
  public:
    virtual ~BatchFeed() = default;
    /// The next rows, or null at the end. A call that breaks is taken up behind the last row that came: no row comes twice.
    virtual Result<std::shared_ptr<arrow::RecordBatch>> next() = 0;
};

}  // namespace penstock::bigquery
