#include "connect/bigquery/write_stream.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/version.h"

namespace penstock::bigquery {
namespace {

constexpr int64_t most_waiting_bytes = 24 << 20;
/// A call is begun anew after that: one that no answer comes on is no longer waited for.
constexpr auto one_stream = std::chrono::minutes(5);

}  // namespace

WriteStream::WriteStream(Stub& stub, StorageChannel& channel, std::string name, std::string what, std::string schema,
                         std::chrono::milliseconds retry_for, std::stop_token stop)
    : stub_(stub),
      channel_(channel),
      name_(std::move(name)),
      what_(std::move(what)),
      schema_(std::move(schema)),
      patience_(retry_for, stop),
      stop_(std::move(stop)) {}

WriteStream::~WriteStream() { hang_up(); }

Status WriteStream::append(ArrowMessage message) {
    auto& next = waiting_.emplace_back();
    next.request.set_write_stream(name_);
    next.request.mutable_offset()->set_value(rows_);
    next.request.set_trace_id(fmt::format("penstock:{}", version));
    auto& rows = *next.request.mutable_arrow_rows();
    // In each: whichever is the first of a connection needs it.
    rows.mutable_writer_schema()->set_serialized_schema(schema_);
    rows.mutable_rows()->set_serialized_record_batch(std::move(message.bytes));
    next.bytes = static_cast<int64_t>(next.request.ByteSizeLong());
    waiting_bytes_ += next.bytes;
    rows_ += message.rows;
    PN_CHECK(advance(most_waiting_bytes));
    PN_FAILPOINT(target_publish_during);
    return {};
}

Status WriteStream::drain() {
    PN_CHECK(advance(0));
    if (call_ == nullptr) return {};
    call_->WritesDone();
    listener_.join();  // every row is acknowledged, whatever the end says
    hang_up();
    return {};
}

/// Sends what is unsent, and waits for answers while more than that waits for them.
Status WriteStream::advance(int64_t most_waiting) {
    while (sent_ < waiting_.size() || waiting_bytes_ > most_waiting) {
        if (stop_.stop_requested()) return fail(write_stopped());
        if (call_ == nullptr) PN_CHECK(begin());
        bool send = sent_ < waiting_.size();
        PN_CHECK(hear(!send));
        if (call_ != nullptr && sent_ < waiting_.size()) PN_CHECK(send_next());
    }
    return {};
}

Status WriteStream::send_next() {
    auto& next = waiting_[sent_];
    ++next.times_sent;  // even where Write fails: some of it may have arrived
    bytes_sent_ += next.bytes;
    if (call_->Write(next.request)) {
        ++sent_;
        return {};
    }
    listener_.join();  // the call has ended; what was answered before need not be sent again
    return hear(true);
}

Status WriteStream::begin() {
    hang_up();
    context_ = std::make_unique<grpc::ClientContext>();
    PN_CHECK(channel_.prepare(*context_, "write_stream=" + name_));
    context_->set_deadline(std::chrono::system_clock::now() + one_stream);
    cancel_.emplace(stop_, [this] { context_->TryCancel(); });
    call_ = stub_.AppendRows(context_.get());
    listener_ = std::thread([this] { listen(); });
    return {};
}

void WriteStream::listen() {
    Response answer;
    while (call_->Read(&answer)) {
        std::lock_guard lock(mutex_);
        answers_.push_back(std::move(answer));
        answer = {};
        heard_.notify_one();
    }
    auto status = call_->Finish();
    context_->TryCancel();  // a write that is under way has nobody to go to
    std::lock_guard lock(mutex_);
    end_ = status;
    ended_ = true;
    heard_.notify_one();
}

Status WriteStream::hear(bool wait) {
    while (call_ != nullptr) {
        std::unique_lock lock(mutex_);
        if (wait) heard_.wait(lock, [this] { return ended_ || !answers_.empty(); });
        if (answers_.empty()) {
            if (!ended_) return {};
            lock.unlock();
            return broke();
        }
        auto answer = std::move(answers_.front());
        answers_.pop_front();
        lock.unlock();
        PN_CHECK(take(answer));
        wait = false;
    }
    return {};
}

Status WriteStream::broke() {
    // A server that hangs up without a reason may be restarting.
    auto status = end_.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream was closed") : end_;
    auto fault = fault_of(status);
    log::debug("{}: the connection broke with {} requests unanswered ({})", what_, waiting_.size(), fault.message);
    hang_up();
    return patience_.after(fault, what_, channel_);
}

Status WriteStream::take(const Response& answer) {
    if (sent_ == 0)
        return fail({.kind = ErrorKind::unavailable,
                     .code = "bad_answer",
                     .message = fmt::format("cannot {}: more requests were answered than were sent", what_)});
    if (answer.has_error()) return refused(answer);
    const auto& first = waiting_.front().request;
    const auto& result = answer.append_result();
    if (result.has_offset() && result.offset().value() != first.offset().value())
        return fail({.kind = ErrorKind::internal,
                     .code = "rows_misplaced",
                     .message = fmt::format("cannot {}: rows for offset {} were written at {}", what_,
                                            first.offset().value(), result.offset().value()),
                     .hint = "nothing was committed; please report this with the run's log"});
    acknowledge();
    return {};
}

void WriteStream::acknowledge() {
    waiting_bytes_ -= waiting_.front().bytes;
    waiting_.pop_front();
    --sent_;
    patience_.renew();
}

/// "AppendRowsResponse": the requests behind one that was refused are out of range; all are sent again in their order.
Status WriteStream::refused(const Response& answer) {
    auto fault = fault_of(answer.error());
    if (fault.already_there() && waiting_.front().times_sent > 1) {
        log::debug("{}: rows at {} had arrived, and their answer was lost", what_,
                   waiting_.front().request.offset().value());
        acknowledge();
        return {};
    }
    if (answer.row_errors_size() > 0) {
        const auto& row = answer.row_errors(0);
        return fail({.kind = ErrorKind::refused,
                     .code = "rows_refused",
                     .message = fmt::format("cannot {}: BigQuery refused {} rows, the first of them ({}) because: {}",
                                            what_, answer.row_errors_size(),
                                            waiting_.front().request.offset().value() + row.index(), row.message()),
                     .hint = "nothing was committed; please report this with the run's log"});
    }
    hang_up();
    return patience_.after(fault, what_, channel_);
}

void WriteStream::hang_up() {
    sent_ = 0;
    if (call_ == nullptr) return;
    context_->TryCancel();
    if (listener_.joinable()) listener_.join();
    cancel_.reset();
    call_.reset();
    answers_.clear();
    ended_ = false;
}

}  // namespace penstock::bigquery
