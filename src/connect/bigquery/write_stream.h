#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include <google/cloud/bigquery/storage/v1/storage.grpc.pb.h>
#include "base/error.h"
#include "connect/bigquery/arrow_rows.h"
#include "connect/bigquery/write_patience.h"

namespace penstock::bigquery {

/// AppendRows into one PENDING stream. Every request says at which row of the stream it begins, so that one whose answer was
/// lost is sent again and written once: what the stream has already is answered with ALREADY_EXISTS. Requests wait for their
/// answers here, up to a bound of bytes.
class WriteStream {
  public:
    using Stub = google::cloud::bigquery::storage::v1::BigQueryWrite::Stub;

    WriteStream(Stub& stub, StorageChannel& channel, std::string name, std::string what, std::string schema,
                std::chrono::milliseconds retry_for, std::stop_token stop);
    WriteStream(const WriteStream&) = delete;
    WriteStream& operator=(const WriteStream&) = delete;
    ~WriteStream();

    Status append(ArrowMessage message);
    /// Waits until everything is answered.
    Status drain();
    int64_t rows() const { return rows_; }
    int64_t bytes_sent() const { return bytes_sent_; }

  private:
    using Request = google::cloud::bigquery::storage::v1::AppendRowsRequest;
    using Response = google::cloud::bigquery::storage::v1::AppendRowsResponse;
    struct Waiting {
        Request request;
        int64_t bytes = 0;
        int times_sent = 0;
    };

    Status advance(int64_t most_waiting);
    Status send_next();
    Status begin();
    void listen();
    /// What has come, waiting for it if need be: takes it, and the end of the call after it.
    Status hear(bool wait);
    Status broke();
    Status take(const Response& answer);
    Status refused(const Response& answer);
    void acknowledge();
    void hang_up();

    Stub& stub_;
    StorageChannel& channel_;
    std::string name_, what_, schema_;
    WritePatience patience_;
    std::stop_token stop_;
    std::deque<Waiting> waiting_;
    size_t sent_ = 0;  ///< of those that wait, on the call there is
    int64_t waiting_bytes_ = 0, rows_ = 0, bytes_sent_ = 0;
    // In this order: the callback uses the context, and so does the call; the listener uses all.
    std::unique_ptr<grpc::ClientContext> context_;
    std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> call_;
    std::optional<std::stop_callback<std::function<void()>>> cancel_;
    std::mutex mutex_;
    std::condition_variable heard_;
    std::deque<Response> answers_;  ///< with ended_ and end_, under the mutex
    bool ended_ = false;
    grpc::Status end_;
    /// Reads beside the writes: a server that ends a call while a request is on its way would not be noticed otherwise.
    std::thread listener_;
};

}  // namespace penstock::bigquery
