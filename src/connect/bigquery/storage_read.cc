#include "connect/bigquery/storage_read.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>
#include <fmt/format.h>
#include <google/cloud/bigquery/storage/v1/storage.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include <random>

#include "base/log.h"
#include "io/retry.h"

namespace penstock::bigquery {
namespace {

namespace api = google::cloud::bigquery::storage::v1;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

Error stopped_reading() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "reading was stopped"};
}

Error unreadable(const std::string& what, const arrow::Status& status) {
    return {.kind = ErrorKind::unavailable,
            .code = "bad_answer",
            .message = fmt::format("cannot {}: what came is no Arrow: {}", what, status.message())};
}

/// How long to try again: from the last moment that anything came.
class Patience {
  public:
    Patience(milliseconds most, std::stop_token stop)
        : settings_{.first_delay = milliseconds(200)}, stop_(std::move(stop)) {
        settings_.deadline = most;
    }
    void renew() {
        attempt_ = 0;
        since_ = steady_clock::now();
    }
    /// Waits before the next try; false when there is to be none.
    bool wait() {
        if (steady_clock::now() - since_ > settings_.deadline) return false;
        return io::wait_for(io::backoff(settings_, attempt_++, io::random_share()), stop_);
    }

  private:
    io::RetrySettings settings_;
    std::stop_token stop_;
    int attempt_ = 0;
    steady_clock::time_point since_ = steady_clock::now();
};

Result<std::shared_ptr<arrow::Schema>> read_schema(const std::string& bytes, const std::string& what) {
    arrow::io::BufferReader in(arrow::Buffer::FromString(bytes));
    arrow::ipc::DictionaryMemo memo;
    auto schema = arrow::ipc::ReadSchema(&in, &memo);
    if (!schema.ok()) return fail(unreadable(what, schema.status()));
    return *schema;
}

api::CreateReadSessionRequest request_for(const ReadSessionRequest& wanted, const std::string& project) {
    api::CreateReadSessionRequest request;
    request.set_parent("projects/" + project);
    request.set_max_stream_count(static_cast<int>(wanted.streams));
    auto& session = *request.mutable_read_session();
    session.set_table(wanted.table.resource());
    session.set_data_format(api::ARROW);
    auto& options = *session.mutable_read_options();
    for (const auto& column : wanted.columns) options.add_selected_fields(column);
    options.set_row_restriction(wanted.restriction);
    if (wanted.snapshot_micros) {
        auto& time = *session.mutable_table_modifiers()->mutable_snapshot_time();
        time.set_seconds(*wanted.snapshot_micros / 1'000'000);
        time.set_nanos(static_cast<int>(*wanted.snapshot_micros % 1'000'000 * 1000));
    }
    return request;
}

}  // namespace

struct StorageReader::Stub {
    std::unique_ptr<api::BigQueryRead::Stub> calls;
};

/// ReadRows, taken up again behind the rows that have come.
class StorageReader::Stream : public BatchFeed {
  public:
    Stream(StorageReader& reader, const ReadSession& session, size_t stream)
        : reader_(reader),
          what_(session.what),
          name_(session.streams[stream]),
          schema_(session.schema),
          patience_(reader.retry_for_, reader.stop_) {}

    ~Stream() override { hang_up(); }

    Result<std::shared_ptr<arrow::RecordBatch>> next() override {
        while (true) {
            if (reader_.stop_.stop_requested()) return fail(stopped_reading());
            if (call_ == nullptr) PN_CHECK(begin());
            api::ReadRowsResponse answer;
            if (call_->Read(&answer)) {
                patience_.renew();
                refused_token_ = false;
                // Some only tell how far the stream is.
                if (!answer.has_arrow_record_batch() && answer.row_count() == 0) continue;
                PN_TRY(auto batch, batch_of(answer));
                offset_ += batch->num_rows();
                if (batch->num_rows() != 0) return batch;
                continue;
            }
            auto status = call_->Finish();
            call_.reset();
            if (status.ok()) return nullptr;
            PN_CHECK(may_go_on(status));
        }
    }

  private:
    Status begin() {
        cancel_.reset();
        context_ = std::make_unique<grpc::ClientContext>();
        PN_CHECK(reader_.channel_->prepare(*context_, "read_stream=" + name_));
        cancel_.emplace(reader_.stop_, [this] { context_->TryCancel(); });
        api::ReadRowsRequest request;
        request.set_read_stream(name_);
        request.set_offset(offset_);
        call_ = reader_.stub_->calls->ReadRows(context_.get(), request);
        return {};
    }

    Status may_go_on(const grpc::Status& status) {
        if (reader_.stop_.stop_requested()) return fail(stopped_reading());
        auto error = storage_error(status, what_);
        if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED && !refused_token_) {
            refused_token_ = true;
            reader_.channel_->forget_token();
            return {};
        }
        if (!is_passing(status)) return fail(std::move(error));
        log::debug("{}: the stream broke behind row {} and is taken up again ({})", what_, offset_,
                   status.error_message());
        if (patience_.wait()) return {};
        return fail(reader_.stop_.stop_requested() ? stopped_reading() : std::move(error));
    }

    Result<std::shared_ptr<arrow::RecordBatch>> batch_of(api::ReadRowsResponse& answer) {
        auto bytes = arrow::Buffer::FromString(
            std::move(*answer.mutable_arrow_record_batch()->mutable_serialized_record_batch()));
        arrow::io::BufferReader in(bytes);
        arrow::ipc::DictionaryMemo memo;
        auto batch = arrow::ipc::ReadRecordBatch(schema_, &memo, arrow::ipc::IpcReadOptions::Defaults(), &in);
        auto status = batch.ok() ? (*batch)->Validate() : batch.status();
        if (!status.ok()) return fail(unreadable(what_, status));
        if ((*batch)->num_rows() == answer.row_count()) return *batch;
        return fail(unreadable(what_, arrow::Status::Invalid(fmt::format("{} rows, and {} were announced",
                                                                         (*batch)->num_rows(), answer.row_count()))));
    }

    void hang_up() {
        if (call_ == nullptr) return;
        context_->TryCancel();
        api::ReadRowsResponse rest;
        while (call_->Read(&rest)) {
        }
        call_->Finish();
    }

    StorageReader& reader_;
    std::string what_;
    std::string name_;
    std::shared_ptr<arrow::Schema> schema_;
    Patience patience_;
    int64_t offset_ = 0;
    bool refused_token_ = false;
    // In this order: the callback uses the context, and so does the call.
    std::unique_ptr<grpc::ClientContext> context_;
    std::unique_ptr<grpc::ClientReader<api::ReadRowsResponse>> call_;
    std::optional<std::stop_callback<std::function<void()>>> cancel_;
};

StorageReader::StorageReader(std::unique_ptr<StorageChannel> channel, std::string project,
                             std::chrono::microseconds retry_for, std::stop_token stop)
    : channel_(std::move(channel)),
      stub_(std::make_unique<Stub>()),
      project_(std::move(project)),
      retry_for_(std::chrono::duration_cast<milliseconds>(retry_for)),
      stop_(std::move(stop)) {
    stub_->calls = api::BigQueryRead::NewStub(channel_->channel());
}

StorageReader::~StorageReader() = default;

Result<ReadSession> StorageReader::create(const ReadSessionRequest& wanted) {
    auto request = request_for(wanted, project_);
    ReadSession made{.what = "read " + wanted.table.dotted(), .schema = nullptr, .streams = {}};
    Patience patience(retry_for_, stop_);
    api::ReadSession session;
    for (bool refused_token = false;;) {
        grpc::ClientContext context;
        PN_CHECK(channel_->prepare(context, "read_session.table=" + request.read_session().table()));
        context.set_deadline(std::chrono::system_clock::now() + std::min(one_storage_call, retry_for_));
        std::stop_callback cancel(stop_, [&] { context.TryCancel(); });
        auto status = stub_->calls->CreateReadSession(&context, request, &session);
        if (status.ok()) break;
        if (stop_.stop_requested()) return fail(stopped_reading());
        if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED && !refused_token) {
            refused_token = true;
            channel_->forget_token();
            continue;
        }
        auto error = storage_error(status, made.what);
        if (!is_passing(status) || !patience.wait()) return fail(std::move(error));
        log::debug("{} is tried again: {}", made.what, status.error_message());
    }
    for (const auto& stream : session.streams()) made.streams.push_back(stream.name());
    made.bytes = session.estimated_total_bytes_scanned();
    PN_TRY(made.schema, read_schema(session.arrow_schema().serialized_schema(), made.what));
    return made;
}

std::unique_ptr<BatchFeed> StorageReader::open(const ReadSession& session, size_t stream) {
    return std::make_unique<Stream>(*this, session, stream);
}

bool is_denied(const Error& error) {
    return error.code == "bigquery_storage_permission_denied" || error.code == "bigquery_storage_unimplemented" ||
           error.code == "bigquery_storage_unauthenticated";
}

}  // namespace penstock::bigquery
