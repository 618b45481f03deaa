#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "state/place.h"
#include "state/process.h"

namespace penstock::state {

class Connection;

enum class MessageStatus {
    accepted,  ///< on record, nobody works on it
    running,   ///< somebody does, for as long as its process lives
    again,     ///< something of it failed that another try can mend: the next delivery goes on with it
    done,      ///< its answer stands; nothing is done for it any more
    rejected,  ///< it was no message; its answer says why
};
std::string_view to_string(MessageStatus status);

/// A message that came from outside, by the pipeline it is for and the id that its sender gave it.
struct Message {
    std::string pipeline;
    std::string id;
    std::string invocation;  ///< our own name for it
    bool is_redelivered =
        false;           ///< its sender delivers it again until it is answered well; any other is our business alone
    std::string digest;  ///< of the body: one id must not stand for two bodies
    std::string body;    ///< JSON, as it was validated
    MessageStatus status = MessageStatus::accepted;
    std::string ended;   ///< JSON: what became of its pipelines so far, by name
    int code = 0;        ///< of the answer
    std::string answer;  ///< JSON
    int attempts = 0;
    TimePoint received_at{};
};

/// Messages in the state, so that one delivered twice is done once. One thread; any number of processes.
class Messages {
  public:
    static Result<Messages> open(const std::string& url, const std::filesystem::path& directory);
    ~Messages();
    Messages(Messages&&) noexcept;

    /// Takes a message: on record and running when this returns Claim::ours. `ours` says of an invocation whether this
    /// process works on it right now; a record of this process that it does not work on was left by a failure.
    enum class Claim { ours, busy, settled, other_body };
    struct Claimed {
        Claim claim;
        Message message;  ///< as it is on record
    };
    Result<Claimed> claim(Message message);
    /// One of the pipelines of a message has ended.
    Status progress(const Message& message);
    /// `message.status`, `code` and `answer`, for good or for the next delivery.
    Status end(const Message& message);
    /// A message that is settled on arrival: a reject, which also goes to the rejects of the pipeline with this code and reason.
    Status reject(const Message& message, const std::string& code, const std::string& reason,
                  const std::string& payload);

    Result<std::optional<Message>> find(const std::string& invocation);
    /// Says that this process still works on these.
    Status renew(std::span<const std::string> invocations);
    /// Of these pipelines, those that nobody will deliver again and whose process is gone.
    Result<std::vector<Message>> orphans(std::span<const std::string> pipelines);
    /// Lets go of messages that ended before.
    Status forget(TimePoint before);
    /// That the state answers.
    Status ping();

  private:
    explicit Messages(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

/// The connection under which rejects of messages lie (TargetLedger), instead of a target's.
inline constexpr const char* trigger_connection = "(trigger)";

}  // namespace penstock::state
