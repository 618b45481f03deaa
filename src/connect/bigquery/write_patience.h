#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "connect/bigquery/storage_channel.h"

namespace google::rpc {
class Status;
}

namespace penstock::bigquery {

/// What the Storage Write API said is wrong: google.rpc's code, and the StorageErrorCode beside it (0: none).
struct WriteFault {
    int code = 0;
    int storage_code = 0;
    std::string message;

    bool already_there() const;  ///< the offset was written before, or the stream committed
    bool out_of_range() const;   ///< rows before these are missing
    bool may_be_behind() const;  ///< the table, or its columns, are not known there yet
    bool is_passing() const;
    Error error(const std::string& what) const;
};
/// How long a change of a table may be unknown to the services that write into it.
inline constexpr auto metadata_lag = std::chrono::seconds(75);

WriteFault fault_of(const grpc::Status& status);
WriteFault fault_of(const google::rpc::Status& status);

/// How long to try again: from the first failure behind a success on.
class WritePatience {
  public:
    WritePatience(std::chrono::milliseconds most, std::stop_token stop) : most_(most), stop_(std::move(stop)) {}

    void renew();
    /// Whether to go on behind this fault, having waited; or what to say.
    Status after(const WriteFault& fault, const std::string& what, StorageChannel& channel);

  private:
    std::chrono::milliseconds most_;
    std::stop_token stop_;
    int attempt_ = 0;
    bool token_refused_ = false;
    std::optional<std::chrono::steady_clock::time_point> since_;
};

Error write_stopped();

}  // namespace penstock::bigquery
