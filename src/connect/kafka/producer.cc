#include "connect/kafka/producer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/log.h"

namespace penstock::kafka {
namespace {

using std::chrono::steady_clock;

Properties properties_of(const ConnectionOptions& connection, const ProducerSettings& settings) {
    auto timeout = std::min(std::chrono::duration_cast<std::chrono::milliseconds>(connection.timeout),
                            settings.transaction_timeout);
    auto kilobytes = std::clamp<uint64_t>(settings.queue_bytes >> 10, 1'024, 2'097'151);
    return {{"transactional.id", settings.transactional_id},
            {"enable.idempotence", "true"},
            {"transaction.timeout.ms", fmt::to_string(settings.transaction_timeout.count())},
            {"message.timeout.ms", fmt::to_string(std::max<int64_t>(timeout.count(), 1'000))},
            {"compression.codec", settings.compression},
            {"partitioner", "murmur2_random"},
            {"linger.ms", "20"},
            {"queue.buffering.max.kbytes", fmt::to_string(kilobytes)},
            {"queue.buffering.max.messages", "500000"},
            {"batch.num.messages", "100000"},
            {"message.max.bytes", fmt::to_string(std::clamp<int64_t>(settings.message_bytes, 1'000, 1'000'000'000))},
            {"batch.size", fmt::to_string(std::clamp<int64_t>(settings.batch_bytes - 1'000, 1'000, 1'000'000))},
            {"delivery.report.only.error", "true"}};
}

Error stopped_writing() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while writing to Kafka"};
}

/// Calls until it works, fails for good, or the time is up.
template <class Call>
Status insist(const Client& client, std::chrono::milliseconds time, std::stop_token stop, std::string_view doing,
              Call&& call) {
    auto give_up = steady_clock::now() + time;
    while (true) {
        rd_kafka_error_t* error = call(std::min<int>(client.timeout_ms(), 5'000));
        if (error == nullptr) return {};
        bool again = rd_kafka_error_is_retriable(error) != 0 && steady_clock::now() < give_up && !stop.stop_requested();
        if (!again) {
            Error out = client.error(error, doing);
            return fail(stop.stop_requested() && out.kind == ErrorKind::unavailable ? stopped_writing()
                                                                                    : std::move(out));
        }
        rd_kafka_error_destroy(error);
    }
}

}  // namespace

Result<std::unique_ptr<Producer>> Producer::open(const ConnectionOptions& connection, const ProducerSettings& settings,
                                                 std::stop_token stop) {
    std::unique_ptr<Producer> producer(new Producer());
    PN_TRY(auto client, Client::open(Role::producer, connection, properties_of(connection, settings),
                                     {.callback = &Producer::delivered, .opaque = producer.get()}));
    producer->client_.emplace(std::move(client));
    auto* handle = producer->client_->handle();
    // A coordinator that is only just coming up says so for a while.
    PN_CHECK(insist(*producer->client_, std::chrono::milliseconds(producer->client_->timeout_ms()), stop,
                    "opening transactions", [&](int wait) { return rd_kafka_init_transactions(handle, wait); }));
    PN_FAILPOINT(bus_fence_after);
    return producer;
}

void Producer::delivered(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    auto* self = static_cast<Producer*>(opaque);
    if (message->err == 0) return;
    // What was taken back by an abort is no news.
    if (message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) return;
    std::lock_guard lock(self->mutex_);
    if (self->failure_ != 0) return;
    self->failure_ = message->err;
    self->failure_words_ =
        fmt::format("{} (a message of {} bytes for topic {})", rd_kafka_message_errstr(message),
                    message->len + message->key_len, message->rkt == nullptr ? "?" : rd_kafka_topic_name(message->rkt));
    self->failed_ = true;
}

Error Producer::sending_failed(rd_kafka_resp_err_t code) {
    rd_kafka_poll(client_->handle(), 0);
    std::lock_guard lock(mutex_);
    if (failure_ != 0) return client_->error(failure_, "sending", failure_words_);
    return client_->error(code, "sending");
}

Status Producer::look_up(const std::vector<std::string>& topics) {
    for (const auto& name : topics)
        topics_.emplace_back(rd_kafka_topic_new(client_->handle(), name.c_str(), nullptr), rd_kafka_topic_destroy);
    const rd_kafka_metadata_t* known = nullptr;
    auto code = rd_kafka_metadata(client_->handle(), 0, nullptr, &known, client_->timeout_ms());
    if (code != 0) return fail(client_->error(code, "asking for topics"));
    rd_kafka_metadata_destroy(known);
    return {};
}

Status Producer::begin() {
    {
        std::lock_guard lock(mutex_);
        failure_ = RD_KAFKA_RESP_ERR_NO_ERROR;
        failed_ = false;
    }
    if (auto* error = rd_kafka_begin_transaction(client_->handle()))
        return fail(client_->error(error, "beginning a transaction"));
    return {};
}

Status Producer::send(const Outgoing& message, std::stop_token stop) {
    if (failed_) return fail(sending_failed(RD_KAFKA_RESP_ERR__FAIL));
    auto* handle = client_->handle();
    rd_kafka_headers_t* headers = nullptr;
    if (!message.headers.empty()) {
        headers = rd_kafka_headers_new(message.headers.size());
        for (const auto& header : message.headers)
            rd_kafka_header_add(headers, header.name.data(), static_cast<ssize_t>(header.name.size()),
                                header.value.data(), static_cast<ssize_t>(header.value.size()));
    }
    auto bytes = [](const std::optional<std::string_view>& text) {
        return const_cast<char*>(text ? (text->data() == nullptr ? "" : text->data()) : nullptr);
    };
    auto size = [](const std::optional<std::string_view>& text) { return text ? text->size() : size_t{0}; };
    while (true) {
        auto code = rd_kafka_producev(
            handle, RD_KAFKA_V_TOPIC(message.topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_PARTITION(message.partition.value_or(RD_KAFKA_PARTITION_UA)),
            RD_KAFKA_V_KEY(bytes(message.key), size(message.key)),
            RD_KAFKA_V_VALUE(bytes(message.value), size(message.value)), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (code == 0) return {};
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !stop.stop_requested() && !failed_) {
            rd_kafka_poll(handle, 20);
            continue;
        }
        if (headers != nullptr) rd_kafka_headers_destroy(headers);
        if (stop.stop_requested()) return fail(stopped_writing());
        return fail(sending_failed(code));
    }
}

Status Producer::commit() {
    auto* handle = client_->handle();
    // Flushing first gives a failed message's own words; it ends when each was delivered or has failed.
    // Without reports of success librdkafka looks only every 100 ms whether all has left.
    while (rd_kafka_flush(handle, 2) == RD_KAFKA_RESP_ERR__TIMED_OUT && !failed_) continue;
    if (failed_) return fail(sending_failed(RD_KAFKA_RESP_ERR__FAIL));
    PN_FAILPOINT(target_commit_before);
    PN_CHECK(insist(*client_, std::chrono::milliseconds(client_->timeout_ms()), {}, "committing a transaction",
                    [&](int wait) { return rd_kafka_commit_transaction(handle, wait); }));
    PN_FAILPOINT(target_commit_after);
    return {};
}

void Producer::abort() noexcept {
    // Whatever it says, the brokers take back what is left open: at the next run, or when its time is up.
    if (auto* error = rd_kafka_abort_transaction(client_->handle(), std::min(client_->timeout_ms(), 5'000)))
        rd_kafka_error_destroy(error);
}

}  // namespace penstock::kafka
