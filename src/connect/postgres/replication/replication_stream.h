#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "connect/postgres/replication/lsn.h"
#include "connect/postgres/replication/status_sender.h"
#include "connect/postgres/session.h"
#include "connect/postgres/wire_socket.h"

namespace penstock::postgres {

struct StreamRequest {
    std::string slot;
    /// All that commits after it is sent. Where the slot stands further, the server goes from there and does not say so: ask
    /// judge_slot(), and again once the stream holds the slot. 0 is where the slot stands.
    Lsn from;
    std::vector<std::pair<std::string, std::string>> options;  ///< of the output plugin: {"proto_version", "4"}, …
    /// Of a physical slot: the log itself, of this timeline, byte for byte from `from` on. 0 for a logical one.
    uint32_t timeline = 0;
    /// What the server remarks upon between changes, its warnings among it; an Error ends the stream. By the receiving thread.
    std::function<Status(const Error& remark)> on_remark = {};
    std::string purpose = "penstock";  ///< application_name
    std::chrono::milliseconds status_interval =
        std::chrono::seconds(10);  ///< at most; a third of wal_sender_timeout if less
};

/// START_REPLICATION SLOT "s" LOGICAL 16/B374D848 ("proto_version" '4', …), or PHYSICAL 16/B3000000 TIMELINE 2
std::string start_replication_command(const StreamRequest& request);

/// A timeline's successor: which, and where it begins.
struct NextTimeline {
    uint32_t timeline = 0;
    Lsn at;
};

/// A logical slot's changes, or the log of a physical one, as the server sends them, on a connection of its own:
///
///     server --- XLogData, keepalives ---> receive()        the caller's thread
///     server <-- status updates ---------- StatusSender     a thread of its own, however long the caller is away
///
/// What arrives is not confirmed by arriving: the server keeps all that confirm() was not told of, and sends it again to the
/// next stream (I1). While nobody receives, the server waits; nothing is dropped.
class ReplicationStream {
  public:
    /// Connects as Session does (a walsender of the database), and starts. An error names who holds the slot, or what is
    /// missing, and the remedy: see replication_error.h.
    static Result<std::unique_ptr<ReplicationStream>> start(const ConnectionOptions& options,
                                                            const StreamRequest& request, std::stop_token stop);
    ~ReplicationStream();

    enum class Got {
        message,
        timeout,  ///< nothing until then: a good moment to confirm(server_end()), if all that came before is durable
        end,      ///< close() was called; of a physical stream, or its timeline is over: next_timeline() follows it
    };

    /// One XLogData.
    struct Received {
        std::string_view payload;    ///< what the plugin wrote, in place until the next receive()
        Lsn start_lsn, end_lsn;      ///< of the change; of a commit message, the end of its record. May be 0: not told.
                                     ///< Of a physical stream, of the payload
        int64_t sent_at_micros = 0;  ///< server's clock, since 1970
    };

    /// The next message, waiting at most so long. One thread at a time. A server that shuts down, an ended connection and the
    /// plugin's own errors are Errors; after one the stream is over. So is a server that says nothing for wal_sender_timeout
    /// (a minute where that is off), though asked: PostgreSQL's own receivers judge by wal_receiver_timeout just so. A stop is
    /// an Error of kind `interrupted`, after which close() is still in order.
    Result<Got> receive(Received& into, std::chrono::milliseconds wait);

    /// The newest position the server told, in keepalives and with data: all that committed before it has been received. A
    /// caller with nothing left to make durable writes it into its checkpoint, then confirms it, so that an idle table does
    /// not keep the server's log, and so that the server can shut down: it waits until who has confirmed anything confirms
    /// all. Checkpoint first: a slot that stands past it looks like one that somebody else has moved (slot_guard.h).
    Lsn server_end() const { return sender_.received(); }

    /// All that committed up to here is durable; sent within a second, or with close(). Never moves back, nor past what was
    /// received. Any thread.
    void confirm(Lsn flushed) { sender_.confirm(flushed); }

    /// Asks the server where it is: server_end() follows, with a receive() soon. A quiet server says nothing by itself.
    void ask() { sender_.hurry(true); }

    /// Behind the end of a physical stream's timeline.
    const std::optional<NextTimeline>& next_timeline() const { return next_timeline_; }

    /// Whether the server has asked where we are since this was last asked: one that shuts down does, and waits until a physical
    /// stream's reader confirms all.
    bool was_asked() { return std::exchange(server_asks_, false); }

    /// Tells the last confirmed position and ends the stream in order: when this succeeds, the server has it and has let go of
    /// the slot. What it was about to send is dropped, and comes again. Not while another thread receives.
    Status close();

    /// Of the server's process that reads the slot for us: pg_replication_slots.active_pid.
    int32_t server_pid() const { return PQbackendPID(session_->raw()); }

    int64_t bytes() const { return socket_.bytes(); }

  private:
    ReplicationStream(std::unique_ptr<Session> session, std::chrono::milliseconds interval,
                      std::chrono::milliseconds longest_silence, std::stop_token stop);
    Status bear_silence(std::chrono::nanoseconds more);
    Status begin(const StreamRequest& request);
    Error refused(const StreamRequest& request, std::string_view body);
    Result<bool> take_copied(std::string_view body, Received& into);
    Result<Got> ended(const WireSocket::Message& message);
    Status until_ready();
    Result<Got> timeline_ended();
    void note_next_timeline(std::string_view row);

    std::unique_ptr<Session> session_;
    WireSocket socket_;
    StatusSender sender_;
    std::chrono::milliseconds longest_silence_;
    std::chrono::nanoseconds silence_{};  ///< spent waiting since the server last said something
    bool asked_ = false;                  ///< during this silence
    std::function<Status(const Error&)> on_remark_;
    bool closed_ = false;
    bool physical_ = false;
    bool server_asks_ = false;
    std::optional<NextTimeline> next_timeline_;
};

}  // namespace penstock::postgres
