#include "connect/bigquery/write_patience.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <random>

#include <google/cloud/bigquery/storage/v1/storage.pb.h>
#include <google/rpc/status.pb.h>
#include "base/log.h"
#include "io/retry.h"

namespace penstock::bigquery {
namespace {

namespace api = google::cloud::bigquery::storage::v1;
using std::chrono::steady_clock;

}  // namespace

Error write_stopped() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the run was stopped"};
}

bool WriteFault::already_there() const {
    return code == grpc::StatusCode::ALREADY_EXISTS || storage_code == api::StorageError::OFFSET_ALREADY_EXISTS ||
           storage_code == api::StorageError::STREAM_ALREADY_COMMITTED;
}

bool WriteFault::out_of_range() const {
    return code == grpc::StatusCode::OUT_OF_RANGE || storage_code == api::StorageError::OFFSET_OUT_OF_RANGE;
}

bool WriteFault::may_be_behind() const {
    return code == grpc::StatusCode::NOT_FOUND || storage_code == api::StorageError::TABLE_NOT_FOUND ||
           storage_code == api::StorageError::STREAM_NOT_FOUND ||
           storage_code == api::StorageError::SCHEMA_MISMATCH_EXTRA_FIELDS;
}

bool WriteFault::is_passing() const {
    if (may_be_behind() || out_of_range()) return true;  // for as long as that may last
    // "AppendRows": INTERNAL is to be taken up again, as CANCELLED is where it was not us.
    return code == grpc::StatusCode::INTERNAL || code == grpc::StatusCode::CANCELLED ||
           bigquery::is_passing(grpc::Status(static_cast<grpc::StatusCode>(code), message));
}

Error WriteFault::error(const std::string& what) const {
    auto error = storage_error(grpc::Status(static_cast<grpc::StatusCode>(code), message), what);
    if (is_passing()) error.kind = ErrorKind::unavailable;
    if (code == grpc::StatusCode::PERMISSION_DENIED)
        error.hint = "grant the account roles/bigquery.dataEditor on the dataset, or set `publish: load_job`";
    if (code == grpc::StatusCode::RESOURCE_EXHAUSTED)
        error.hint = "a quota of the Storage Write API is used up: ask for more, or set `publish: load_job`";
    return error;
}

WriteFault fault_of(const google::rpc::Status& status) {
    WriteFault fault{.code = status.code(), .message = status.message()};
    for (const auto& detail : status.details()) {
        api::StorageError storage;
        if (detail.Is<api::StorageError>() && detail.UnpackTo(&storage)) fault.storage_code = storage.code();
    }
    return fault;
}

WriteFault fault_of(const grpc::Status& status) {
    google::rpc::Status full;
    if (!status.error_details().empty() && full.ParseFromString(status.error_details())) {
        auto fault = fault_of(full);
        fault.code = status.error_code();
        return fault;
    }
    return {.code = status.error_code(), .message = status.error_message()};
}

void WritePatience::renew() {
    attempt_ = 0;
    token_refused_ = false;
    since_.reset();
}

Status WritePatience::after(const WriteFault& fault, const std::string& what, StorageChannel& channel) {
    if (stop_.stop_requested()) return fail(write_stopped());
    if (fault.code == grpc::StatusCode::UNAUTHENTICATED && !token_refused_) {
        token_refused_ = true;
        channel.forget_token();
        return {};
    }
    if (!since_) since_ = steady_clock::now();
    bool behind = fault.may_be_behind() || fault.out_of_range();
    auto most = behind ? std::min<steady_clock::duration>(most_, metadata_lag) : steady_clock::duration(most_);
    if (!fault.is_passing() || steady_clock::now() - *since_ > most) return fail(fault.error(what));
    log::debug("{} is tried again: {}", what, fault.message);
    io::RetrySettings pace{.first_delay = std::chrono::milliseconds(200)};
    if (io::wait_for(io::backoff(pace, attempt_++, io::random_share()), stop_)) return {};
    return fail(write_stopped());
}

}  // namespace penstock::bigquery
