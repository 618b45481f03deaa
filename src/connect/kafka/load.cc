#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/failpoint.h"
#include "connect/kafka/sink.h"
#include "flow/guarded.h"

namespace penstock::kafka {

/// One table's rows on their way out, shared by the threads that pull them.
struct Sink::Loading {
    const flow::TableTarget& target;
    flow::Scan& scan;
    const flow::ScanContext& context;
    int64_t limit = 0;  ///< bytes of the topic's largest message
    std::atomic<int64_t> written = 0, deleted = 0, bytes = 0;
    std::mutex mutex;
    std::optional<Error> failure;
};

namespace {

/// Enough for what Kafka puts around a message's key, value and headers.
constexpr int64_t around_message = 128;

int64_t size_of(const debezium::Message& message, std::span<const Header> headers) {
    size_t bytes =
        around_message + (message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0);
    for (const auto& header : headers) bytes += header.name.size() + header.value.size() + 8;
    return static_cast<int64_t>(bytes);
}

void headers_of(const debezium::Message& message, bool position, std::vector<Header>& out) {
    out.clear();
    if (!message.new_key.empty()) out.push_back({"__debezium.newkey", message.new_key});
    if (!message.old_key.empty()) out.push_back({"__debezium.oldkey", message.old_key});
    if (!message.unavailable.empty()) out.push_back({"__penstock.unavailable", message.unavailable});
    if (position) out.push_back({"__penstock.position", message.position});
}

}  // namespace

debezium::EnvelopeOptions Sink::envelope() const {
    const auto& target = settings_.target;
    auto options = target.options(settings_.server);
    options.tombstones = target.tombstones;
    options.transactions = target.transaction_blocks;
    return options;
}

Result<flow::Counts> Sink::load(const flow::TableTarget& target, flow::Scan& scan, const flow::ScanContext& context) {
    Loading loading{.target = target, .scan = scan, .context = context, .limit = limits_[target.name]};
    // Rows of a snapshot have no order among them; changes keep theirs.
    bool snapshot = scan.schema().find(flow::change::unchanged) < 0;
    unsigned threads = snapshot ? std::clamp(scan.max_readers(), 1U, settings_.threads) : 1;
    auto work = [&] {
        auto status = flow::guarded([&] { return pull(loading); });
        if (status) return;
        std::lock_guard lock(loading.mutex);
        if (!loading.failure) loading.failure = std::move(status.error());
    };
    {
        std::vector<std::jthread> running;
        for (unsigned i = 1; i < threads; ++i) running.emplace_back(work);
        work();
    }
    if (loading.failure) return fail(std::move(*loading.failure));
    PN_FAILPOINT(target_stage_after);
    return flow::Counts{
        .rows_written = loading.written, .rows_deleted = loading.deleted, .bytes_written = loading.bytes};
}

Status Sink::pull(Loading& loading) {
    PN_TRY(auto reader, loading.scan.reader());
    PN_TRY(auto encoder, debezium::Encoder::make(loading.target.info, loading.scan.schema(), envelope()));
    data::Block block(loading.scan.schema());
    std::vector<debezium::Message> messages;
    while (true) {
        block.clear();
        PN_CHECK(reader->fill(block));
        if (block.rows == 0) return {};
        for (size_t row = 0; row < block.rows; ++row) PN_CHECK(write_row(loading, encoder, block, row, messages));
        std::lock_guard lock(loading.mutex);
        if (loading.failure) return {};
    }
}

Status Sink::write_row(Loading& loading, debezium::Encoder& encoder, const data::Block& block, size_t row,
                       std::vector<debezium::Message>& messages) {
    auto reject = [&](std::string position, std::string code, std::string reason) {
        loading.context.progress.rows_rejected += 1;
        return loading.context.rejects.add({.table = loading.target.info.name,
                                            .source_position = std::move(position),
                                            .key = encoder.key_json(block, row),
                                            .column = "",
                                            .code = std::move(code),
                                            .reason = std::move(reason),
                                            .payload = encoder.row_json(block, row),
                                            .received_at = now()});
    };
    auto made = encoder.encode(block, row, messages);
    if (!made) {
        if (made.error().kind != ErrorKind::data) return made;
        return reject(std::string(encoder.position(block, row)), made.error().code, made.error().message);
    }
    std::vector<Header> headers;
    headers_of(messages.front(), settings_.target.position_header, headers);
    if (int64_t size = size_of(messages.front(), headers); size > loading.limit)
        return reject(std::string(messages.front().position), "message_too_large",
                      fmt::format("the message has {} bytes, topic {} takes {}: raise its max.message.bytes", size,
                                  loading.target.name, loading.limit));
    for (const auto& message : messages) {
        Outgoing out{.topic = loading.target.name, .key = message.key, .value = message.value, .headers = headers};
        // Without key nothing else keeps the order.
        if (!message.key) out.partition = 0;
        PN_CHECK(producer_->send(out, loading.context.stop));
        loading.bytes +=
            static_cast<int64_t>((message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0));
    }
    loading.written += 1;
    if (messages.front().op == 'd') loading.deleted += 1;
    return {};
}

}  // namespace penstock::kafka
