#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/parquet/objects/records.h"
#include "connect/parquet/objects/selection.h"
#include "flow/messages.h"

namespace penstock::parquet {

/// The records of objects that were not read before as a stream of messages, in the order of the objects' names; a message's position is
/// object:line. A segment may end within an object: the position says how many records of it were taken, and of which object by
/// size and time, so that nothing is taken of another one under its name.
class ObjectStream : public flow::MessageStream {
  public:
    ObjectStream(std::shared_ptr<io::ObjectStore> store, SourceOptions options, bool in_folder, bool follow);

    /// Objects that are there, not messages: those are not counted before they are read.
    Result<int64_t> connect(std::stop_token stop) override;
    Status begin(const std::optional<std::string>& position) override;
    Status receive(flow::MessageBatch& batch, uint64_t most_bytes) override;
    bool drained() const override { return next_ == waiting_.size(); }
    std::string position() override;
    Status confirm(const std::string&) override { return {}; }

  private:
    using Clock = std::chrono::steady_clock;

    Status look_again();
    Status open();
    Status skip(int64_t records);
    Status end_object();

    SourceOptions options_;
    bool follow_;
    Selection selection_;
    std::stop_token stop_;
    Clock::time_point looked_;
    std::vector<io::ObjectInfo> listed_;
    Taken taken_;
    std::vector<io::ObjectInfo> waiting_;
    size_t next_ = 0;  ///< being read
    std::unique_ptr<Records> records_;
    int64_t done_ = 0;  ///< of its records
};

}  // namespace penstock::parquet
