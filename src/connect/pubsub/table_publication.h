#pragma once

#include <string>
#include <vector>

#include "connect/pubsub/envelope_message.h"
#include "connect/pubsub/publisher.h"
#include "flow/scan.h"
#include "flow/sink.h"
#include "transform/debezium/envelope.h"

namespace penstock::pubsub {

/// One part of one table on its way out: pulls the scan with one reader, which gets its rows in the order of their positions,
/// and hands a message for each to the publisher.
class TablePublication {
  public:
    TablePublication(Publisher& publisher, std::string topic, Ordering ordering, MessageMaker maker,
                     debezium::Encoder encoder, const flow::TableTarget& target, const flow::ScanContext& context);

    /// To the scan's end. The counts lack what the runner knows.
    Result<flow::Counts> run(flow::Scan& scan);

  private:
    Status take_row(const data::Block& block, size_t row);
    Status publish(const debezium::Message& envelope, const data::Block& block, size_t row);
    Status reject(const data::Block& block, size_t row, std::string code, std::string reason);

    Publisher& publisher_;
    std::string topic_;
    Ordering ordering_;
    MessageMaker maker_;
    debezium::Encoder encoder_;
    const flow::TableTarget& target_;
    const flow::ScanContext& context_;
    int position_ = -1;  ///< the column of positions
    flow::Counts counts_;
    std::vector<debezium::Message> envelopes_;
};

}  // namespace penstock::pubsub
