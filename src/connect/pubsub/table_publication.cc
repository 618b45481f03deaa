#include "connect/pubsub/table_publication.h"

#include <fmt/format.h>

#include "base/humane.h"
#include "flow/change.h"

namespace penstock::pubsub {

TablePublication::TablePublication(Publisher& publisher, std::string topic, Ordering ordering, MessageMaker maker,
                                   debezium::Encoder encoder, const flow::TableTarget& target,
                                   const flow::ScanContext& context)
    : publisher_(publisher),
      topic_(std::move(topic)),
      ordering_(ordering),
      maker_(std::move(maker)),
      encoder_(std::move(encoder)),
      target_(target),
      context_(context) {}

Result<flow::Counts> TablePublication::run(flow::Scan& scan) {
    position_ = scan.schema().find(flow::change::position);
    PN_TRY(auto reader, scan.reader());
    data::Block block(scan.schema());
    while (true) {
        block.clear();
        PN_CHECK(reader->fill(block));
        if (block.rows == 0) return counts_;
        for (size_t row = 0; row < block.rows; ++row) PN_CHECK(take_row(block, row));
    }
}

Status TablePublication::take_row(const data::Block& block, size_t row) {
    auto encoded = encoder_.encode(block, row, envelopes_);
    if (!encoded) {
        if (encoded.error().kind != ErrorKind::data) return encoded;
        return reject(block, row, encoded.error().code, encoded.error().message);
    }
    for (const auto& envelope : envelopes_) PN_CHECK(publish(envelope, block, row));
    return {};
}

Status TablePublication::publish(const debezium::Message& envelope, const data::Block& block, size_t row) {
    if (!envelope.value) return {};  // a tombstone is for compacted logs
    bool truncate = envelope.op == 't';
    std::string key = truncate ? std::string() : encoder_.key_json(block, row);
    Message message = maker_.make(envelope, key);
    size_t bytes = 0;
    if (!Publisher::fits(topic_, message, bytes))
        return reject(block, row, "message_too_large",
                      fmt::format("the change is a message of {}, and Pub/Sub takes {} at most", humane_bytes(bytes),
                                  humane_bytes(most_request_bytes)));
    // It has an ordering key of its own: what comes before it is there before it, what comes after it after it.
    bool barrier = truncate && ordering_ == Ordering::key;
    if (barrier) PN_CHECK(publisher_.flush(context_.stop));
    PN_CHECK(publisher_.publish(topic_, std::move(message), context_.stop));
    if (barrier) PN_CHECK(publisher_.flush(context_.stop));
    ++counts_.rows_written;
    if (envelope.op == 'd') ++counts_.rows_deleted;
    counts_.bytes_written += static_cast<int64_t>(bytes);
    return {};
}

Status TablePublication::reject(const data::Block& block, size_t row, std::string code, std::string reason) {
    std::string position;
    if (position_ >= 0) position = block.columns[static_cast<size_t>(position_)].values<data::StringRef>()[row].view();
    return context_.rejects.add({.table = target_.info.name,
                                 .source_position = std::move(position),
                                 .key = encoder_.key_json(block, row),
                                 .code = std::move(code),
                                 .reason = std::move(reason),
                                 .payload = encoder_.row_json(block, row),
                                 .received_at = now()});
}

}  // namespace penstock::pubsub
