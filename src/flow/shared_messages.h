#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/error.h"

namespace penstock::flow {

/// What a MessageStream is besides where several processes may share it (flow/shared_stream.h). Positions are those of
/// MessageStream.
class SharedMessages {
  public:
    virtual ~SharedMessages() = default;
    /// The newest position that the target has, asked now.
    using Newest = std::function<Result<std::optional<std::string>>()>;

    /// Whether this one may be.
    virtual bool may_share() const { return true; }
    /// Before begin(), whose position is then the newest of then. position() is from now on that of this process's part.
    virtual void share(Newest newest) = 0;
    /// The newest position with all of the part that was received so far. Refuses (part_moved) where the newest is not what
    /// that was received after.
    virtual Result<std::string> merge(const std::optional<std::string>& newest) = 0;
    /// All of this process's part has been received; MessageStream::drained() is about the parts of the others, too.
    virtual bool part_drained() const { return false; }
    /// Another process waits for what this one has: what was received should be committed now.
    virtual bool hurried() const { return false; }
};

}  // namespace penstock::flow
