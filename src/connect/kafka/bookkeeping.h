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

/// The largest message of a topic of rejects that is created: rows that fit no other topic must fit there.
inline constexpr int64_t largest_reject = int64_t{64} << 20;

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
    /// Those that match, the newest where there is a limit; newest last.
    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter, std::stop_token stop) const;

    /// Into the transaction that is open.
    Status write_batch(Producer& producer, const flow::BatchRecord& batch) const;
    /// A payload that would not fit a message of `limit` bytes is cut, and the reason says so.
    Status write_reject(Producer& producer, flow::RejectRecord reject, int64_t limit) const;

  private:
    const ConnectionOptions& connection_;
    BookkeepingTopics topics_;
};

}  // namespace penstock::kafka
