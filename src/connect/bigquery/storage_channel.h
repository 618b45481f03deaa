#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "connect/bigquery/options.h"
#include "io/http.h"
#include "io/token.h"

namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc

namespace penstock::bigquery {

/// Where the Storage APIs are for a connection: its `storage_endpoint`, else Google's; "" where `endpoint` is another's and
/// nothing is said.
std::string storage_endpoint(const ConnectionOptions& options);

/// The way to the Storage APIs (gRPC), and who asks. Any thread.
class StorageChannel {
  public:
    /// Reads the credentials; calls nobody yet. The connection must have a storage endpoint.
    static Result<std::unique_ptr<StorageChannel>> make(const ConnectionOptions& options, std::stop_token stop);

    const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
    /// Puts the token and what the request is for onto a call: "read_session.table=projects/p/…".
    Status prepare(grpc::ClientContext& context, const std::string& request_parameters);
    /// The server did not take the last token.
    void forget_token();

  private:
    StorageChannel(const ConnectionOptions& options, std::stop_token stop);

    std::stop_token stop_;
    io::HttpClient http_;
    std::unique_ptr<io::TokenCache> token_;  ///< none for an emulator
    std::shared_ptr<grpc::Channel> channel_;
};

/// The longest that one call of the Storage APIs is waited for.
constexpr std::chrono::milliseconds one_storage_call(120'000);

/// What gRPC said, as an Error that names who must act; `what` is a verb with its object.
Error storage_error(const grpc::Status& status, const std::string& what);

/// The same call may be answered otherwise later (AIP-194, and what Google's clients take up again).
bool is_passing(const grpc::Status& status);

}  // namespace penstock::bigquery
