#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "flow/messages.h"
#include "transform/archive/archive.h"

namespace penstock::archive {

/// What to read again: messages of [from, to), by the time that names their objects.
struct ReplayRange {
    TimePoint from;
    TimePoint to;
    std::vector<std::string> routes = {};  ///< empty: all
    /// flow::Message::position of those that are left out.
    std::set<std::string, std::less<>> without = {};
};

/// An archive as a stream of messages, each with the position, the times and all else that it had when it came first: what
/// knows those positions leaves out what it has. Each object is read once to compare its SHA-256 before any message of it is
/// given out. Positions are {"object": name, "messages": how many of it}.
class ArchiveStream : public flow::MessageStream {
  public:
    ArchiveStream(std::shared_ptr<io::ObjectStore> store, std::string pipeline, ArchiveOptions options,
                  ReplayRange range);
    ~ArchiveStream() override;

    /// Messages of the objects that have any of the range: no fewer than come.
    Result<int64_t> connect(std::stop_token stop) override;
    Status begin(const std::optional<std::string>& position) override;
    Status receive(flow::MessageBatch& batch, uint64_t most_bytes) override;
    bool drained() const override;
    std::string position() override;
    Status confirm(const std::string&) override { return {}; }

    /// Of connect(): those that have a message of the range.
    const std::vector<ArchivedObject>& objects() const { return objects_; }

  private:
    Status open();

    std::shared_ptr<io::ObjectStore> store_;
    ArchiveReader reader_;
    ReplayRange range_;
    std::stop_token stop_;
    std::vector<ArchivedObject> objects_;
    size_t object_ = 0;     ///< being read
    int64_t messages_ = 0;  ///< of it, done
    std::unique_ptr<ArchiveMessages> reading_;
};

}  // namespace penstock::archive
