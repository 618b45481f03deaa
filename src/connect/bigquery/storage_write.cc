#include "connect/bigquery/storage_write.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/bigquery/write_stream.h"

namespace penstock::bigquery {
namespace {

namespace api = google::cloud::bigquery::storage::v1;
using std::chrono::milliseconds;

}  // namespace

struct StorageWriter::Calls {
    explicit Calls(StorageWriter& owner)
        : writer(owner), stub(api::BigQueryWrite::NewStub(owner.channel_->channel())) {}

    /// One call and its repetitions; `done` looks at a fault and may be content with it.
    template <class Request, class Response>
    Status run(grpc::Status (api::BigQueryWrite::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
               const Request& request, Response& answer, const std::string& parameters, const std::string& what) {
        WritePatience patience(writer.retry_for_, writer.stop_);
        while (true) {
            if (writer.stop_.stop_requested()) return fail(write_stopped());
            grpc::ClientContext context;
            PN_CHECK(writer.channel_->prepare(context, parameters));
            context.set_deadline(std::chrono::system_clock::now() + std::min(one_storage_call, writer.retry_for_));
            std::stop_callback cancel(writer.stop_, [&] { context.TryCancel(); });
            auto status = (stub.get()->*method)(&context, request, &answer);
            if (status.ok()) return {};
            PN_CHECK(patience.after(fault_of(status), what, *writer.channel_));
        }
    }

    StorageWriter& writer;
    std::unique_ptr<api::BigQueryWrite::Stub> stub;
};

StorageWriter::StorageWriter(std::unique_ptr<StorageChannel> channel, std::chrono::microseconds retry_for,
                             std::stop_token stop)
    : channel_(std::move(channel)),
      retry_for_(std::chrono::duration_cast<milliseconds>(retry_for)),
      stop_(std::move(stop)) {
    calls_ = std::make_unique<Calls>(*this);
}

StorageWriter::~StorageWriter() = default;

Result<std::unique_ptr<StorageWriter>> StorageWriter::make(const ConnectionOptions& options, std::stop_token stop) {
    PN_TRY(auto channel, StorageChannel::make(options, stop));
    return std::unique_ptr<StorageWriter>(new StorageWriter(std::move(channel), options.retry_for, std::move(stop)));
}

Result<int64_t> StorageWriter::write(engine::Connection& connection, const StagedFiles& staged, const TableId& into) {
    streams_.clear();
    int64_t written = 0;
    for (const auto& file : staged.files) {
        PN_TRY(auto rows, ArrowRows::open(connection, file, staged.columns, staged.marks_rejects ? reject_column : ""));
        PN_TRY(int64_t count, write_stream(into, rows));
        written += count;
    }
    PN_CHECK(commit(into));
    return written;
}

Result<std::string> StorageWriter::create(const TableId& table) {
    api::CreateWriteStreamRequest request;
    request.set_parent(table.resource());
    request.mutable_write_stream()->set_type(api::WriteStream::PENDING);
    api::WriteStream made;
    // One whose answer was lost stays behind without rows, and is never committed.
    PN_CHECK(calls_->run(&api::BigQueryWrite::Stub::CreateWriteStream, request, made, "parent=" + request.parent(),
                         "begin to write into " + table.dotted()));
    return made.name();
}

Result<int64_t> StorageWriter::finish(const std::string& stream) {
    api::FinalizeWriteStreamRequest request;
    request.set_name(stream);
    api::FinalizeWriteStreamResponse answer;
    PN_CHECK(calls_->run(&api::BigQueryWrite::Stub::FinalizeWriteStream, request, answer, "name=" + stream,
                         "finish the stream of rows"));
    return answer.row_count();
}

/// A stream of their own, finished. The table was made moments ago: that BigQuery may not have heard of it everywhere is waited out.
Result<int64_t> StorageWriter::write_stream(const TableId& table, ArrowRows& rows) {
    PN_TRY(auto name, create(table));
    WriteStream stream(*calls_->stub, *channel_, name, "write rows into " + table.dotted(), rows.schema(), retry_for_,
                       stop_);
    Status written = [&]() -> Status {
        while (true) {
            PN_TRY(auto message, rows.next());
            if (!message) return stream.drain();
            PN_CHECK(stream.append(std::move(*message)));
        }
    }();
    bytes_sent_ += stream.bytes_sent();
    PN_CHECK(std::move(written));
    PN_TRY(int64_t count, finish(name));
    if (count != stream.rows())
        return fail({.kind = ErrorKind::internal,
                     .code = "rows_lost",
                     .message = fmt::format("{} rows were written into {} and BigQuery has {}", stream.rows(),
                                            table.dotted(), count),
                     .hint = "nothing was committed; please report this with the run's log"});
    streams_.push_back(name);
    return count;
}

/// "A stream can only be committed once, so if the commit operation fails, it is safe to retry it": that all of them are
/// committed is what was asked for, and nobody else knows their names.
Status StorageWriter::commit(const TableId& table) {
    if (streams_.empty()) return {};
    PN_FAILPOINT(target_publish_during);
    api::BatchCommitWriteStreamsRequest request;
    request.set_parent(table.resource());
    for (const auto& stream : streams_) request.add_write_streams(stream);
    std::string what = "show the rows written into " + table.dotted();
    WritePatience patience(retry_for_, stop_);
    while (true) {
        api::BatchCommitWriteStreamsResponse answer;
        PN_CHECK(calls_->run(&api::BigQueryWrite::Stub::BatchCommitWriteStreams, request, answer,
                             "parent=" + request.parent(), what));
        auto committed = std::ranges::count_if(answer.stream_errors(), [](const auto& error) {
            return error.code() == api::StorageError::STREAM_ALREADY_COMMITTED;
        });
        if (answer.stream_errors().empty() || committed == std::ssize(streams_)) break;
        const auto& error = answer.stream_errors(0);
        WriteFault fault{.code = grpc::StatusCode::FAILED_PRECONDITION,
                         .storage_code = error.code(),
                         .message = error.error_message()};
        PN_CHECK(patience.after(fault, what, *channel_));
    }
    streams_.clear();
    PN_FAILPOINT(target_publish_during);
    return {};
}

}  // namespace penstock::bigquery
