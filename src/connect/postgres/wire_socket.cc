#include "connect/postgres/wire_socket.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace penstock::postgres {
namespace {

using std::chrono::milliseconds;

constexpr size_t usual_buffer = size_t{1} << 20;
constexpr size_t most_at_once = size_t{256} << 10;
constexpr auto breath = milliseconds(1);
/// So often a wait looks at the stop token.
constexpr auto watch = milliseconds(100);
/// Much data, for a stream that must not dawdle: over so long, so many bytes a microsecond.
constexpr auto window = 2 * breath;
constexpr int64_t much_per_microsecond = 4;
/// A row may take a GiB in the server; its message is a little longer.
constexpr uint32_t longest_message = (uint32_t{1} << 30) + (uint32_t{1} << 16);

Error interrupted() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while reading"};
}

}  // namespace

ServerAnswer parse_answer(std::string_view body) {
    ServerAnswer answer;
    while (!body.empty() && body[0] != '\0') {
        char code = body[0];
        body.remove_prefix(1);
        auto text = body.substr(0, body.find('\0'));
        body.remove_prefix(std::min(text.size() + 1, body.size()));
        if (code == 'C') answer.sqlstate = text;
        if (code == 'M') answer.message = text;
        if (code == 'D') answer.detail = text;
        if (code == 'H') answer.hint = text;
    }
    return answer;
}

WireSocket::WireSocket(Session& session, Pace pace, std::stop_token stop)
    : session_(session),
      ssl_(static_cast<SSL*>(PQgetssl(session.raw()))),
      socket_(PQsocket(session.raw())),
      pace_(pace),
      stop_(std::move(stop)),
      buffer_(usual_buffer) {}

Status WireSocket::query(const std::string& sql) {
    doing_ = sql;
    used_ = end_ = 0;
    std::string query(header, '\0');
    query[0] = 'Q';
    uint32_t length = std::byteswap(static_cast<uint32_t>(sql.size() + 5));
    std::memcpy(query.data() + 1, &length, sizeof length);
    query += sql;
    query += '\0';
    return send(query, stop_);
}

Result<WireSocket::Filled> WireSocket::fill(Clock::time_point deadline) {
    size_t need = header;
    if (end_ - used_ >= header) {
        auto length = load_big_endian<uint32_t>(buffer_.data() + used_ + 1);
        if (length < 4 || length > longest_message) return fail(lost(fmt::format("a message of {} bytes", length)));
        need = length + size_t{1};
    }
    if (used_ + need > buffer_.size() || end_ == buffer_.size()) return Filled::full;
    PN_TRY(size_t got, receive(buffer_.data() + end_, std::min(buffer_.size() - end_, most_at_once), deadline));
    end_ += got;
    bytes_ += static_cast<int64_t>(got);
    return got > 0 ? Filled::more : Filled::late;
}

void WireSocket::release() {
    std::memmove(buffer_.data(), buffer_.data() + used_, end_ - used_);
    end_ -= used_;
    used_ = 0;
    size_t wanted = usual_buffer;
    if (end_ >= header) {
        // A message longer than the buffer gets one of its own size; the buffer shrinks back once it is through.
        auto length = load_big_endian<uint32_t>(buffer_.data() + 1);
        wanted = std::max<size_t>(wanted, std::min(length, longest_message) + size_t{1});
    }
    if (wanted > buffer_.size()) buffer_.resize(wanted);
    if (buffer_.size() > 4 * usual_buffer && wanted == usual_buffer && end_ <= usual_buffer) {
        buffer_.resize(usual_buffer);
        buffer_.shrink_to_fit();
    }
}

Result<size_t> WireSocket::receive(char* into, size_t room, Clock::time_point deadline) {
    while (true) {
        if (stop_.stop_requested()) return fail(interrupted());
        PN_TRY(auto step, try_receive(into, room));
        if (step.bytes > 0) return step.bytes;
        if (step.wait_for == POLLIN && nap()) continue;
        auto left = deadline == never ? watch : std::chrono::ceil<milliseconds>(deadline - Clock::now());
        if (left.count() <= 0) return 0;
        pollfd wait{.fd = socket_, .events = step.wait_for, .revents = 0};
        if (poll(&wait, 1, static_cast<int>(std::min(left, watch).count())) < 0 && errno != EINTR)
            return fail(lost(std::strerror(errno)));
    }
}

/// Sleeps a little where data flows, instead of a real wait.
bool WireSocket::nap() {
    if (pace_ == Pace::latency) {
        // Not by what came since the last wait: with a wake-up for each piece that is little, however fast they come.
        auto at = Clock::now();
        if (at - counted_at_ >= window) {
            auto took = std::chrono::duration_cast<std::chrono::microseconds>(at - counted_at_).count();
            fast_ = bytes_ - counted_ >= took * much_per_microsecond;
            counted_ = bytes_;
            counted_at_ = at;
        }
    } else {
        fast_ = bytes_ > std::exchange(counted_, bytes_);
    }
    if (fast_) std::this_thread::sleep_for(breath);
    return fast_;
}

Status WireSocket::send(std::string_view bytes, std::stop_token stop) {
    std::lock_guard whole(sending_);
    while (!bytes.empty()) {
        PN_TRY(auto step, try_send(bytes));
        bytes.remove_prefix(step.bytes);
        if (step.bytes > 0) continue;
        if (stop.stop_requested()) return fail(interrupted());
        pollfd wait{.fd = socket_, .events = step.wait_for, .revents = 0};
        if (poll(&wait, 1, static_cast<int>(watch.count())) < 0 && errno != EINTR)
            return fail(lost(std::strerror(errno)));
    }
    return {};
}

Result<WireSocket::Step> WireSocket::try_receive(char* into, size_t room) {
    if (ssl_ != nullptr) {
        std::lock_guard lock(tls_);
        ERR_clear_error();
        return tls_step(SSL_read(ssl_, into, static_cast<int>(room)));
    }
    while (true) {
        ssize_t got = ::recv(socket_, into, room, MSG_DONTWAIT);
        if (got > 0) return Step{static_cast<size_t>(got), 0};
        if (got == 0) return fail(lost("the server closed it"));
        if (errno == EAGAIN || errno == EWOULDBLOCK) return Step{0, POLLIN};
        if (errno != EINTR) return fail(lost(std::strerror(errno)));
    }
}

Result<WireSocket::Step> WireSocket::try_send(std::string_view bytes) {
    if (ssl_ != nullptr) {
        std::lock_guard lock(tls_);
        ERR_clear_error();
        return tls_step(SSL_write(ssl_, bytes.data(), static_cast<int>(std::min(bytes.size(), most_at_once))));
    }
    while (true) {
        ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) return Step{static_cast<size_t>(sent), 0};
        if (errno == EAGAIN || errno == EWOULDBLOCK) return Step{0, POLLOUT};
        if (errno != EINTR) return fail(lost(std::strerror(errno)));
    }
}

/// Under the lock of the step that came out so: the reason is kept in the TLS state.
Result<WireSocket::Step> WireSocket::tls_step(int outcome) const {
    if (outcome > 0) return Step{static_cast<size_t>(outcome), 0};
    switch (SSL_get_error(ssl_, outcome)) {
        case SSL_ERROR_WANT_READ: return Step{0, POLLIN};
        case SSL_ERROR_WANT_WRITE: return Step{0, POLLOUT};
        case SSL_ERROR_ZERO_RETURN: return fail(lost("the server closed it"));
        default: return fail(lost("the encrypted connection broke"));
    }
}

Error WireSocket::answered(std::string_view body) const {
    auto answer = parse_answer(body);
    return server_error(session_.place(), answer.sqlstate, answer.message, answer.detail, answer.hint, doing_);
}

Error WireSocket::lost(std::string_view what) const {
    return server_error(session_.place(), "08006", what, "", "", doing_);
}

}  // namespace penstock::postgres
