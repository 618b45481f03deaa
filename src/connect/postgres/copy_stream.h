#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.h"
#include "connect/postgres/session.h"
#include "connect/postgres/wire_socket.h"

namespace penstock::postgres {

/// COPY … TO STDOUT over a session's own socket. libpq connects and authenticates; from the Query message to ReadyForQuery we
/// speak the protocol ourselves, so that rows are decoded where the kernel (or TLS) put them, without a copy a row. libpq
/// stays idle all the while and may be used again once a COPY has ended. Belongs to one thread.
/// Source: PostgreSQL documentation, "Frontend/Backend Protocol", Message Formats.
class CopyStream {
  public:
    CopyStream(Session& session, std::stop_token stop)
        : socket_(session, WireSocket::Pace::throughput, std::move(stop)) {}

    /// Sends the statement and waits until the server begins to copy.
    Status start(const std::string& sql);

    enum class Got {
        message,  ///< `payload` holds one CopyData message, in place until release()
        full,     ///< the next message does not fit beside those in use: decode them, release() and call again
        end,      ///< all data came; what was handed out still stays until release(), then call settle()
    };
    Result<Got> next(std::string_view& payload);

    /// Whatever next() handed out is no longer needed.
    void release();

    /// After `end` and release(): the server's closing word, without which the data is not known to be whole. The session is
    /// idle afterwards. Does nothing when there is nothing to settle.
    Status settle();

    /// Bytes received so far.
    int64_t bytes() const { return socket_.bytes(); }

  private:
    Result<WireSocket::Message> any_message();

    WireSocket socket_;
    std::string sql_;
    bool held_ = false;
    bool unsettled_ = false;
};

}  // namespace penstock::postgres
