#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connect/kafka/connection.h"
#include "connect/kafka/options.h"
#include "connect/kafka/producer.h"
#include "flow/ledger.h"
#include "flow/sink.h"

namespace penstock::kafka {

/// What Penstock keeps beside the events, in topics that a transaction writes together with them. See docs/design/kafka.md.
///
///     penstock_checkpoints   {"pipeline","source","target"} -> the newest batch of the table     compacted, one partition
///     penstock_rejects       id                             -> the reject, and what became of it compacted, one partition
///     penstock_batches       pipeline                       -> every batch
class Bookkeeping {
  public:
    Bookkeeping(const ConnectionOptions& connection, BookkeepingTopics topics)
        : connection_(connection), topics_(std::move(topics)) {}

    const BookkeepingTopics& topics() const { return topics_; }

    /// The newest batch of each table of the pipeline ("" is every pipeline).
    Result<std::vector<flow::BatchRecord>> batches(std::string_view pipeline, std::stop_token stop) const;
    /// All that match, newest last.
    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter, std::stop_token stop) const;

    /// Into the transaction that is open.
    Status write_batch(Producer& producer, const flow::BatchRecord& batch) const;
    Status write_reject(Producer& producer, const flow::RejectRecord& reject) const;

  private:
    const ConnectionOptions& connection_;
    BookkeepingTopics topics_;
};

}  // namespace penstock::kafka
