#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "flow/text_store.h"

namespace penstock::flow {

/// One message of an event stream, as it came. Its bytes live in the batch, each text with `text_padding` behind it.
struct Message {
    std::string_view payload;
    /// The payload as JSON, where it is another format's; null: the payload is JSON, or should be.
    std::string_view document = {};
    std::string_view key = {};         ///< "" none
    std::string_view attributes = {};  ///< headers or attributes as a JSON object; "" none
    /// Where in the source it is, unique within the pipeline's source and the same whenever it comes again:
    /// topic/partition/offset, subscription/message id, object:line.
    std::string_view position = {};
    int64_t sent_micros = 0;      ///< the source's own time of it, since 1970
    int64_t received_micros = 0;  ///< ours

    std::string_view json() const { return document.data() == nullptr ? payload : document; }
};

/// Messages on their way to one commit.
struct MessageBatch {
    TextStore texts;
    std::vector<Message> messages;

    uint64_t bytes() const { return texts.bytes() + messages.size() * sizeof(Message); }
    /// Empty, with the memory that it had.
    void clear() {
        texts.clear();
        messages.clear();
    }
};

/// A system's messages, without a meaning: what an event stream (transform/events) reads. One thread; calls in the order
/// connect, begin, (receive | confirm)*. Nothing is acknowledged but by confirm.
class MessageStream {
  public:
    virtual ~MessageStream() = default;
    /// Looks at what is there; reads no message. The number of messages that wait, or -1.
    virtual Result<int64_t> connect(std::stop_token stop) = 0;
    /// Goes on behind `position`, which an earlier position() gave and a target has made durable; nothing: from the beginning.
    virtual Status begin(const std::optional<std::string>& position) = 0;
    /// Adds what comes within some milliseconds, up to about `most_bytes`; it may be nothing. A message that comes again
    /// although `begin`'s position or this stream has it is left out.
    virtual Status receive(MessageBatch& batch, uint64_t most_bytes) = 0;
    /// Everything that was there at connect() has been received.
    virtual bool drained() const = 0;
    /// Everything received so far, as JSON of the system's own. The next stream begins behind it.
    virtual std::string position() = 0;
    /// I1: what `position` covers is durable: the source may let go of it. An answer that is lost does no harm.
    virtual Status confirm(const std::string& position) = 0;
};

}  // namespace penstock::flow
