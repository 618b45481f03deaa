#include "connect/postgres/copy_stream.h"

#include <fmt/format.h>

namespace penstock::postgres {

Status CopyStream::start(const std::string& sql) {
    sql_ = sql;
    PN_CHECK(socket_.query(sql));
    while (true) {
        PN_TRY(auto message, any_message());
        if (message.type == 'H') return {};
        if (message.type == 'E') return fail(socket_.answered(message.body));
        if (message.type == 'C' || message.type == 'Z')
            return fail({.kind = ErrorKind::internal,
                         .code = "no_copy",
                         .message = "the server did not begin to copy",
                         .where = sql_});
    }
}

Result<CopyStream::Got> CopyStream::next(std::string_view& payload) {
    while (true) {
        WireSocket::Message message;
        if (!socket_.take(message)) {
            PN_TRY(auto filled, socket_.fill());
            if (filled != WireSocket::Filled::full) continue;
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
            case 'E': return fail(socket_.answered(message.body));
            case 'N':  // notice
            case 'S':  // parameter status
            case 'A':  // notification
                break;
            default: return fail(socket_.lost(fmt::format("message '{}' is not expected in a COPY", message.type)));
        }
    }
}

Status CopyStream::settle() {
    while (unsettled_) {
        PN_TRY(auto message, any_message());
        if (message.type == 'Z') unsettled_ = false;
        else if (message.type == 'E') return fail(socket_.answered(message.body));
    }
    return {};
}

void CopyStream::release() {
    held_ = false;
    socket_.release();
}

/// The next message, when none that was handed out is in use any more.
Result<WireSocket::Message> CopyStream::any_message() {
    WireSocket::Message message;
    while (!socket_.take(message)) {
        PN_TRY(auto filled, socket_.fill());
        if (filled == WireSocket::Filled::full) release();
    }
    return message;
}

}  // namespace penstock::postgres
