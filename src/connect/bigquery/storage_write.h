#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/arrow_rows.h"
#include "connect/bigquery/local_stage.h"
#include "connect/bigquery/sql.h"
#include "connect/bigquery/storage_channel.h"

namespace penstock::bigquery {

/// Rows into a table by PENDING streams of google.cloud.bigquery.storage.v1.BigQueryWrite: nobody sees any of them before they are
/// committed, and then all at once. The table must be the run's own (a staging table): streams that a killed run leaves are
/// never committed, and BigQuery drops them. One thread.
class StorageWriter {
  public:
    /// The connection must have a storage endpoint.
    static Result<std::unique_ptr<StorageWriter>> make(const ConnectionOptions& options, std::stop_token stop);
    ~StorageWriter();

    /// All rows of the files that have no mark; how many they are. Either all of them are there then or, after an error, none.
    Result<int64_t> write(engine::Connection& connection, const StagedFiles& staged, const TableId& into);

    /// Of all requests with rows, those that had to be sent again among them.
    int64_t bytes_sent() const { return bytes_sent_; }

  private:
    struct Calls;

    StorageWriter(std::unique_ptr<StorageChannel> channel, std::chrono::microseconds retry_for, std::stop_token stop);
    Result<std::string> create(const TableId& table);
    Result<int64_t> write_stream(const TableId& table, ArrowRows& rows);
    Result<int64_t> finish(const std::string& stream);
    Status commit(const TableId& table);

    std::unique_ptr<StorageChannel> channel_;
    std::unique_ptr<Calls> calls_;
    std::chrono::milliseconds retry_for_;
    std::stop_token stop_;
    std::vector<std::string> streams_;  ///< finished, and not committed
    int64_t bytes_sent_ = 0;
};

}  // namespace penstock::bigquery
