#include "connect/pubsub/call_status.h"

#include <fmt/format.h>

#include <utility>

namespace penstock::pubsub {
namespace {

ErrorKind kind_of(Code code) {
    switch (code) {
        case Code::cancelled:
        case Code::unknown:
        case Code::deadline_exceeded:
        case Code::resource_exhausted:
        case Code::aborted:
        case Code::internal:
        case Code::unavailable: return ErrorKind::unavailable;
        case Code::not_found:
        case Code::already_exists:
        case Code::permission_denied:
        case Code::failed_precondition:
        case Code::invalid_argument:
        case Code::out_of_range:
        case Code::unimplemented:
        case Code::data_loss:
        case Code::unauthenticated: return ErrorKind::refused;
        case Code::ok: return ErrorKind::internal;
    }
    return ErrorKind::internal;
}

std::string hint_of(Code code) {
    switch (code) {
        case Code::unavailable:
        case Code::deadline_exceeded:
            return "check `endpoint`, and that this machine reaches it; nothing was confirmed to the source, the run "
                   "can "
                   "be repeated";
        case Code::not_found:
            return "create the topic and a subscription of it; check `project` (a target may set `create_topics: "
                   "true`)";
        case Code::permission_denied:
            return "grant the account roles/pubsub.publisher on the topic (with create_topics, roles/pubsub.editor on "
                   "the "
                   "project), or roles/pubsub.subscriber on the subscription";
        case Code::unauthenticated:
            return "name a service account's key file under `credentials`, or run `gcloud auth application-default "
                   "login`";
        case Code::resource_exhausted:
            return "the project's quota is used up: ask for more of it; a target may lower `max_requests`";
        case Code::failed_precondition:
            return "is billing enabled, the topic's encryption key in reach, and the endpoint of a region that the "
                   "topic's storage policy allows?";
        default: return "";
    }
}

}  // namespace

std::string_view name_of(Code code) {
    switch (code) {
        case Code::ok: return "OK";
        case Code::cancelled: return "CANCELLED";
        case Code::unknown: return "UNKNOWN";
        case Code::invalid_argument: return "INVALID_ARGUMENT";
        case Code::deadline_exceeded: return "DEADLINE_EXCEEDED";
        case Code::not_found: return "NOT_FOUND";
        case Code::already_exists: return "ALREADY_EXISTS";
        case Code::permission_denied: return "PERMISSION_DENIED";
        case Code::resource_exhausted: return "RESOURCE_EXHAUSTED";
        case Code::failed_precondition: return "FAILED_PRECONDITION";
        case Code::aborted: return "ABORTED";
        case Code::out_of_range: return "OUT_OF_RANGE";
        case Code::unimplemented: return "UNIMPLEMENTED";
        case Code::internal: return "INTERNAL";
        case Code::unavailable: return "UNAVAILABLE";
        case Code::data_loss: return "DATA_LOSS";
        case Code::unauthenticated: return "UNAUTHENTICATED";
    }
    return "an unknown status";
}

bool worth_repeating(Code code) {
    switch (code) {
        case Code::cancelled:
        case Code::unknown:
        case Code::deadline_exceeded:
        case Code::resource_exhausted:
        case Code::aborted:
        case Code::internal:
        case Code::unavailable: return true;
        default: return false;
    }
}

Error call_error(const CallStatus& status, const std::string& what) {
    return {.kind = kind_of(status.code),
            .code = fmt::format("pubsub_{}",
                                [&] {
                                    std::string name(name_of(status.code));
                                    for (char& c : name)
                                        c = c == ' ' ? '_' : static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
                                    return name;
                                }()),
            .message = fmt::format("cannot {}: Pub/Sub answered {}{}{}", what, name_of(status.code),
                                   status.message.empty() ? "" : ": ", status.message),
            .hint = hint_of(status.code)};
}

}  // namespace penstock::pubsub
