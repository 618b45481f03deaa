#pragma once

#include <chrono>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "connect/postgres/session.h"
#include "connect/postgres/wire.h"

struct ssl_st;

namespace penstock::postgres {

/// What the server says in an ErrorResponse, as views into the message.
struct ServerAnswer {
    std::string_view sqlstate, message, detail, hint;
};
ServerAnswer parse_answer(std::string_view body);

/// A session's own socket, with the messages of protocol v3 read where the kernel (or TLS) put them. libpq connects and
/// authenticates; while somebody holds one of these and talks, libpq stays idle.
///
/// One thread takes messages. send() may come from any thread meanwhile: the kernel keeps both directions of a socket apart,
/// and where TLS is spoken, whose state both directions share, each of its steps is taken under a lock (they never wait).
/// Source: PostgreSQL documentation, "Frontend/Backend Protocol", Message Formats.
class WireSocket {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr Clock::time_point never = Clock::time_point::max();

    /// The server sends in small pieces. Being woken for each costs both sides a tenth of a load's CPU; after a short sleep
    /// there is a good gulp to take. With `throughput` that is done whenever data flows, with `latency` only when much does.
    enum class Pace { throughput, latency };

    WireSocket(Session& session, Pace pace, std::stop_token stop);

    /// Sends a statement, with which errors will be told. Messages taken before it are gone.
    Status query(const std::string& sql);

    struct Message {
        char type = 0;
        std::string_view body;  ///< in place until release()
    };

    /// The next message, if all of it is here.
    bool take(Message& message) {
        size_t have = end_ - used_;
        if (have < header) return false;
        auto length = load_big_endian<uint32_t>(buffer_.data() + used_ + 1);
        if (length < 4 || have <= length) return false;
        message = {buffer_[used_], {buffer_.data() + used_ + header, length - size_t{4}}};
        used_ += length + size_t{1};
        return true;
    }

    enum class Filled {
        more,  ///< bytes came: take() again
        full,  ///< the next message does not fit beside those taken: release() them
        late,  ///< nothing came until the deadline
    };
    /// Waits for bytes. A stop is an error of kind `interrupted`.
    Result<Filled> fill(Clock::time_point deadline = never);

    /// Whatever was taken is no longer needed.
    void release();

    /// All of these bytes, before anybody else's. Waits while the server does not read, until `stop`.
    Status send(std::string_view bytes, std::stop_token stop);

    /// From now on another token ends waits: closing in order goes on after the stop that asked for it.
    void heed(std::stop_token stop) { stop_ = std::move(stop); }

    Error answered(std::string_view body) const;
    Error lost(std::string_view what) const;

    /// Bytes received so far.
    int64_t bytes() const { return bytes_; }

  private:
    static constexpr size_t header = 5;  // type and length

    /// What a step that never waits came to: bytes moved, or what to wait for.
    struct Step {
        size_t bytes = 0;
        short wait_for = 0;
    };
    Result<Step> try_receive(char* into, size_t room);
    Result<Step> try_send(std::string_view bytes);
    Result<Step> tls_step(int outcome) const;
    Result<size_t> receive(char* into, size_t room, Clock::time_point deadline);
    bool nap();

    Session& session_;
    ssl_st* ssl_;
    int socket_;
    Pace pace_;
    std::stop_token stop_;
    std::string doing_;
    std::vector<char> buffer_;
    size_t used_ = 0;  ///< messages taken end here
    size_t end_ = 0;   ///< bytes received end here
    int64_t bytes_ = 0;
    int64_t counted_ = 0;  ///< of bytes_, when the flow was last judged
    Clock::time_point counted_at_ = {};
    bool fast_ = false;   ///< how it was judged
    std::mutex tls_;      ///< one step of TLS
    std::mutex sending_;  ///< one message
};

}  // namespace penstock::postgres
