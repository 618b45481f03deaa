#include "connect/postgres/copy_stream.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "connect/postgres/wire.h"

namespace penstock::postgres {
namespace {

constexpr size_t usual_buffer = size_t{1} << 20;
/// The server sends 8 KiB at a time. Being woken for each costs both sides a tenth of a load's CPU; after a short sleep there
/// is a good gulp to take. Only while data flows: the next wait is a real one.
constexpr auto breath = std::chrono::milliseconds(1);
constexpr size_t most_at_once = size_t{256} << 10;
constexpr size_t header = 5;  // type and length
/// A row may take a GiB in the server; its message is a little longer.
constexpr uint32_t longest_message = (uint32_t{1} << 30) + (uint32_t{1} << 16);

}  // namespace

CopyStream::CopyStream(Session& session, std::stop_token stop)
    : session_(session), stop_(std::move(stop)), buffer_(usual_buffer) {}

Status CopyStream::start(const std::string& sql) {
    sql_ = sql;
    used_ = end_ = 0;
    std::string query(header, '\0');
    query[0] = 'Q';
    uint32_t length = std::byteswap(static_cast<uint32_t>(sql.size() + 5));
    std::memcpy(query.data() + 1, &length, sizeof length);
    query += sql;
    query += '\0';
    PN_CHECK(send(query));
    while (true) {
        Message message;
        PN_TRY(bool whole, whole_message(message));
        if (!whole) {
            release();
            continue;
        }
        if (message.type == 'H') return {};
        if (message.type == 'E') return fail(answer_error(message.body));
        if (message.type == 'C' || message.type == 'Z')
            return fail({.kind = ErrorKind::internal,
                         .code = "no_copy",
                         .message = "the server did not begin to copy",
                         .where = sql_});
    }
}

Result<CopyStream::Got> CopyStream::next(std::string_view& payload) {
    while (true) {
        Message message;
        PN_TRY(bool whole, whole_message(message));
        if (!whole) {
            if (held_) return Got::full;
            release();
            continue;
        }
        switch (message.type) {
            case 'd':
                payload = message.body;
                held_ = true;
                return Got::message;
            case 'c': unsettled_ = true; return Got::end;
            case 'E': return fail(answer_error(message.body));
            case 'N':  // notice
            case 'S':  // parameter status
            case 'A':  // notification
                break;
            default: return fail(lost(fmt::format("message '{}' is not expected in a COPY", message.type)));
        }
    }
}

Status CopyStream::settle() {
    while (unsettled_) {
        Message message;
        PN_TRY(bool whole, whole_message(message));
        if (!whole) release();
        else if (message.type == 'Z') unsettled_ = false;
        else if (message.type == 'E') return fail(answer_error(message.body));
    }
    return {};
}

void CopyStream::release() {
    held_ = false;
    std::memmove(buffer_.data(), buffer_.data() + used_, end_ - used_);
    end_ -= used_;
    used_ = 0;
    size_t wanted = usual_buffer;
    if (end_ >= header) {
        // A message longer than the buffer gets one of its own size; the buffer shrinks back once it is through.
        auto length = load_big_endian<uint32_t>(buffer_.data() + 1);
        wanted = std::max<size_t>(wanted, std::min(length, longest_message) + 1);
    }
    if (wanted > buffer_.size()) buffer_.resize(wanted);
    if (buffer_.size() > 4 * usual_buffer && wanted == usual_buffer && end_ <= usual_buffer) {
        buffer_.resize(usual_buffer);
        buffer_.shrink_to_fit();
    }
}

Result<bool> CopyStream::whole_message(Message& message) {
    while (true) {
        size_t have = end_ - used_;
        size_t need = header;
        if (have >= header) {
            auto length = load_big_endian<uint32_t>(buffer_.data() + used_ + 1);
            if (length < 4 || length > longest_message) return fail(lost(fmt::format("a message of {} bytes", length)));
            need = length + size_t{1};
            if (have >= need) {
                message = {buffer_[used_], {buffer_.data() + used_ + header, length - size_t{4}}};
                used_ += need;
                return true;
            }
        }
        if (used_ + need > buffer_.size() || end_ == buffer_.size()) return false;
        PN_CHECK(receive());
    }
}

Status CopyStream::receive() {
    PN_TRY(size_t got, receive_some(buffer_.data() + end_, std::min(buffer_.size() - end_, most_at_once)));
    end_ += got;
    bytes_ += static_cast<int64_t>(got);
    return {};
}

Result<size_t> CopyStream::receive_some(char* into, size_t room) {
    auto ssl = static_cast<SSL*>(PQgetssl(session_.raw()));
    while (true) {
        if (ssl != nullptr) {
            ERR_clear_error();
            int got = SSL_read(ssl, into, static_cast<int>(room));
            if (got > 0) return flowing_ = true, static_cast<size_t>(got);
            int why = SSL_get_error(ssl, got);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                return fail(lost("the encrypted connection broke"));
            PN_CHECK(wait(why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT));
            continue;
        }
        ssize_t got = recv(PQsocket(session_.raw()), into, room, MSG_DONTWAIT);
        if (got > 0) return flowing_ = true, static_cast<size_t>(got);
        if (got == 0) return fail(lost("the server closed it"));
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return fail(lost(std::strerror(errno)));
        PN_CHECK(wait(POLLIN));
    }
}

Status CopyStream::wait(short events) {
    if (std::exchange(flowing_, false) && events == POLLIN && !stop_.stop_requested()) {
        std::this_thread::sleep_for(breath);
        return {};
    }
    pollfd socket{.fd = PQsocket(session_.raw()), .events = events, .revents = 0};
    while (true) {
        if (stop_.stop_requested())
            return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while reading"});
        int ready = poll(&socket, 1, 100);
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail(lost(std::strerror(errno)));
    }
}

Status CopyStream::send(std::string_view bytes) {
    auto ssl = static_cast<SSL*>(PQgetssl(session_.raw()));
    while (!bytes.empty()) {
        ssize_t sent;
        if (ssl != nullptr) {
            sent = SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size()));
            if (sent <= 0 && SSL_get_error(ssl, static_cast<int>(sent)) == SSL_ERROR_WANT_READ) {
                PN_CHECK(wait(POLLIN));
                continue;
            }
        } else {
            sent = ::send(PQsocket(session_.raw()), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        if (sent > 0) {
            bytes.remove_prefix(static_cast<size_t>(sent));
            continue;
        }
        bool again = ssl != nullptr ? SSL_get_error(ssl, static_cast<int>(sent)) == SSL_ERROR_WANT_WRITE
                                    : errno == EAGAIN || errno == EINTR;
        if (!again) return fail(lost("the server closed it"));
        PN_CHECK(wait(POLLOUT));
    }
    return {};
}

Error CopyStream::answer_error(std::string_view body) {
    std::string_view state, message, detail, hint;
    while (!body.empty() && body[0] != '\0') {
        char code = body[0];
        body.remove_prefix(1);
        auto text = body.substr(0, body.find('\0'));
        body.remove_prefix(std::min(text.size() + 1, body.size()));
        if (code == 'C') state = text;
        if (code == 'M') message = text;
        if (code == 'D') detail = text;
        if (code == 'H') hint = text;
    }
    return server_error(session_.place(), state, message, detail, hint, sql_);
}

Error CopyStream::lost(std::string_view what) const {
    return server_error(session_.place(), "08006", what, "", "", sql_);
}

}  // namespace penstock::postgres
