#include "connect/postgres/replication/replication_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "connect/postgres/replication/replication_error.h"
#include "connect/postgres/replication/slot.h"
#include "connect/postgres/wire.h"

namespace penstock::postgres {
namespace {

using std::chrono::milliseconds;

/// How long the server may take to end what it is sending, or to get over an error.
constexpr auto patience = std::chrono::seconds(5);
/// Where the server has no wal_sender_timeout to go by.
constexpr auto usual_silence = milliseconds(60'000);

/// Replication commands have a grammar of their own (repl_scanner.l): quotes are doubled, backslashes are themselves.
std::string literal(std::string_view text) {
    std::string out = "'";
    for (char c : text) out += c == '\'' ? "''" : std::string(1, c);
    return out + '\'';
}

/// The server's patience with a silent reader; 0 none is lost.
Result<milliseconds> wal_sender_timeout(Session& session) {
    PN_TRY(auto rows, session.query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'"));
    return milliseconds(rows.count() == 0 ? 0 : rows.integer(0, 0));
}

}  // namespace

std::string start_replication_command(const StreamRequest& request) {
    if (request.timeline != 0)
        return fmt::format("START_REPLICATION SLOT {} PHYSICAL {} TIMELINE {}", quote_identifier(request.slot),
                           request.from.text(), request.timeline);
    std::string command =
        fmt::format("START_REPLICATION SLOT {} LOGICAL {}", quote_identifier(request.slot), request.from.text());
    for (size_t i = 0; i < request.options.size(); ++i)
        command += fmt::format("{}{} {}", i == 0 ? " (" : ", ", quote_identifier(request.options[i].first),
                               literal(request.options[i].second));
    return request.options.empty() ? command : command + ")";
}

Result<std::unique_ptr<ReplicationStream>> ReplicationStream::start(const ConnectionOptions& options,
                                                                    const StreamRequest& request,
                                                                    std::stop_token stop) {
    PN_TRY(auto session, Session::connect(options, request.purpose, stop, Session::Channel::replication));
    PN_TRY(auto timeout, wal_sender_timeout(*session));
    auto interval = request.status_interval;
    if (timeout.count() > 0) interval = std::min(interval, timeout / 3);
    std::unique_ptr<ReplicationStream> stream(new ReplicationStream(
        std::move(session), interval, timeout.count() > 0 ? timeout : usual_silence, std::move(stop)));
    PN_CHECK(stream->begin(request));
    return stream;
}

ReplicationStream::ReplicationStream(std::unique_ptr<Session> session, milliseconds interval,
                                     milliseconds longest_silence, std::stop_token stop)
    : session_(std::move(session)),
      socket_(*session_, WireSocket::Pace::latency, std::move(stop)),
      sender_(socket_, std::max(interval, milliseconds(1))),
      longest_silence_(longest_silence) {}

ReplicationStream::~ReplicationStream() { sender_.stop(); }

Status ReplicationStream::begin(const StreamRequest& request) {
    PN_CHECK(socket_.query(start_replication_command(request)));
    while (true) {
        WireSocket::Message message;
        if (!socket_.take(message)) {
            PN_TRY(auto filled, socket_.fill());
            if (filled == WireSocket::Filled::full) socket_.release();
            continue;
        }
        if (message.type == 'E') return fail(refused(request, message.body));
        if (message.type == 'W') break;  // CopyBothResponse
    }
    physical_ = request.timeline != 0;
    on_remark_ = request.on_remark;
    sender_.received(request.from);
    sender_.start();
    return {};
}

/// The server answered no: it will take SQL again, and can be asked who is in the way.
Error ReplicationStream::refused(const StreamRequest& request, std::string_view body) {
    auto error = replication_error(socket_.answered(body));
    if (error.code != "slot_active" || !until_ready()) return error;
    auto slot = find_slot(*session_, request.slot);
    if (slot && *slot && !(*slot)->holder.empty()) error.message += "; it is read by " + (*slot)->holder;
    return error;
}

Result<ReplicationStream::Got> ReplicationStream::receive(Received& into, milliseconds wait) {
    if (closed_) return Got::end;
    auto deadline = WireSocket::never;
    while (true) {
        WireSocket::Message message;
        if (!socket_.take(message)) {
            auto began = WireSocket::Clock::now();
            if (deadline == WireSocket::never) deadline = began + wait;
            PN_TRY(auto filled, socket_.fill(deadline));
            if (filled == WireSocket::Filled::late) {
                PN_CHECK(bear_silence(WireSocket::Clock::now() - began));
                return Got::timeout;
            }
            silence_ = {};
            asked_ = false;
            if (filled == WireSocket::Filled::full) socket_.release();
            continue;
        }
        if (message.type == 'd') {
            PN_TRY(bool data, take_copied(message.body, into));
            if (data) return Got::message;
        } else if (message.type == 'N' && on_remark_) {
            PN_CHECK(on_remark_(socket_.answered(message.body)));
        } else if (message.type != 'N' && message.type != 'S' && message.type != 'A') {
            return ended(message);
        }
    }
}

/// A connection may stand although nobody is at its other end any more, and a quiet server says nothing by itself. Only time
/// spent waiting counts: what came while the caller was away is still to be read.
Status ReplicationStream::bear_silence(std::chrono::nanoseconds more) {
    silence_ += more;
    if (!asked_ && silence_ > longest_silence_ / 2) {
        asked_ = true;
        ask();
    }
    if (silence_ <= longest_silence_) return {};
    return fail(socket_.lost(fmt::format("it has said nothing for {} s, though it was asked",
                                         std::chrono::round<std::chrono::seconds>(silence_).count())));
}

/// XLogData is for the caller (true), a keepalive for us.
Result<bool> ReplicationStream::take_copied(std::string_view body, Received& into) {
    WireCursor cursor(body);
    auto type = cursor.integer<char>();
    if (type == 'w') {
        into.start_lsn = cursor.integer<uint64_t>();
        into.end_lsn = cursor.integer<uint64_t>();
        into.sent_at_micros = cursor.integer<int64_t>() + epoch_micros;
        into.payload = cursor.bytes(cursor.left());
        // What stands there is the end of the server's log, which is not with us yet.
        if (physical_) into.end_lsn = into.start_lsn + into.payload.size();
        if (cursor.ok()) sender_.received(into.end_lsn);
    } else if (type == 'k') {
        Lsn end = cursor.integer<uint64_t>();
        cursor.integer<int64_t>();  // the server's clock
        bool reply = cursor.integer<char>() != 0;
        if (cursor.ok()) sender_.received(end);
        if (cursor.ok() && reply) sender_.hurry(false);
        server_asks_ = server_asks_ || reply;
    } else {
        return fail(socket_.lost(fmt::format("replication message {:#04x} is not known", static_cast<uint8_t>(type))));
    }
    if (!cursor.ok()) return fail(socket_.lost(fmt::format("replication message '{}' of {} bytes", type, body.size())));
    return type == 'w';
}

Result<ReplicationStream::Got> ReplicationStream::ended(const WireSocket::Message& message) {
    if (message.type == 'E') return fail(replication_error(socket_.answered(message.body)));
    if (physical_ && message.type == 'c') return timeline_ended();
    // walsender.c, WalSndDone: when all is sent and confirmed, a server that shuts down says so by CommandComplete.
    if (message.type == 'c' || message.type == 'C')
        return fail(server_error(session_->place(), "57P01",
                                 "the server ended the stream, as it does when it shuts down", "", "",
                                 "START_REPLICATION"));
    return fail(socket_.lost(fmt::format("message '{}' is not expected in a stream", message.type)));
}

/// A DataRow: the timeline's number and the position where it begins, as text.
void ReplicationStream::note_next_timeline(std::string_view row) {
    WireCursor cursor(row);
    if (cursor.integer<int16_t>() < 2) return;
    std::string timeline(cursor.field().view());
    std::string_view text = cursor.field().view();
    auto at = cursor.ok() ? Lsn::parse(text) : std::nullopt;
    uint32_t number = 0;
    auto [end, failed] = std::from_chars(timeline.data(), timeline.data() + timeline.size(), number);
    if (at && failed == std::errc() && end == timeline.data() + timeline.size())
        next_timeline_ = NextTimeline{.timeline = number, .at = *at};
}

Status ReplicationStream::close() {
    if (std::exchange(closed_, true)) return {};
    sender_.stop();
    socket_.heed({});
    PN_CHECK(sender_.send_now());
    PN_CHECK(socket_.send(std::string_view("c\0\0\0\4", 5), {}));
    return until_ready();
}

/// The server has sent all of a timeline that it has left: it says which comes next when we have agreed.
Result<ReplicationStream::Got> ReplicationStream::timeline_ended() {
    PN_CHECK(close());
    if (next_timeline_) return Got::end;
    return fail(socket_.lost("it ended a timeline and named no other"));
}

/// Reads past everything until the server waits for a command; of a timeline that ended, a row with the next one among it.
Status ReplicationStream::until_ready() {
    auto deadline = WireSocket::Clock::now() + patience;
    while (true) {
        WireSocket::Message message;
        while (socket_.take(message)) {
            if (message.type == 'Z') return {};
            if (message.type == 'E') return fail(replication_error(socket_.answered(message.body)));
            if (message.type == 'D' && physical_) note_next_timeline(message.body);
        }
        socket_.release();
        PN_TRY(auto filled, socket_.fill(deadline));
        if (filled == WireSocket::Filled::late || WireSocket::Clock::now() > deadline)
            return fail(socket_.lost("it did not end the stream in time"));
    }
}

}  // namespace penstock::postgres
