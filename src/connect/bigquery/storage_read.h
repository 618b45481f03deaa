#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/bigquery/read_feed.h"
#include "connect/bigquery/sql.h"
#include "connect/bigquery/storage_channel.h"

namespace arrow {
class Schema;
}

namespace penstock::bigquery {

struct ReadSessionRequest {
    TableId table;
    std::vector<std::string> columns;
    std::string restriction;                 ///< GoogleSQL; "" all rows
    std::optional<int64_t> snapshot_micros;  ///< the table as it was then
    unsigned streams = 1;                    ///< at most; one keeps the order of a sorted result
};

struct ReadSession {
    std::string what;  ///< for people: "read shop.orders"
    std::shared_ptr<arrow::Schema> schema;
    std::vector<std::string> streams;
    int64_t bytes = 0;  ///< that reading all of it scans, by BigQuery's estimate
};

/// Calls of google.cloud.bigquery.storage.v1.BigQueryRead. Any thread.
class StorageReader {
  public:
    /// `project` is the one that reads are billed to; a call that failed for the moment is tried again for `retry_for`.
    StorageReader(std::unique_ptr<StorageChannel> channel, std::string project, std::chrono::microseconds retry_for,
                  std::stop_token stop);
    ~StorageReader();

    Result<ReadSession> create(const ReadSessionRequest& request);
    /// The rows of one stream. The reader must outlive it.
    std::unique_ptr<BatchFeed> open(const ReadSession& session, size_t stream);

  private:
    class Stream;
    struct Stub;

    std::unique_ptr<StorageChannel> channel_;
    std::unique_ptr<Stub> stub_;
    std::string project_;
    std::chrono::milliseconds retry_for_;
    std::stop_token stop_;
};

/// Whether a session is refused in a way that says that this account, or this server, has no Storage Read.
bool is_denied(const Error& error);

}  // namespace penstock::bigquery
