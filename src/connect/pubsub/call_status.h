#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::pubsub {

/// The status codes of gRPC, with its numbers.
enum class Code {
    ok = 0,
    cancelled = 1,
    unknown = 2,
    invalid_argument = 3,
    deadline_exceeded = 4,
    not_found = 5,
    already_exists = 6,
    permission_denied = 7,
    resource_exhausted = 8,
    failed_precondition = 9,
    aborted = 10,
    out_of_range = 11,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
    data_loss = 15,
    unauthenticated = 16,
};

/// UNAVAILABLE, as Google's pages write it.
std::string_view name_of(Code code);

/// What the service answered to a call.
struct CallStatus {
    Code code = Code::ok;
    std::string message = {};

    bool ok() const { return code == Code::ok; }
};

/// Whether a publish is worth sending again: those codes for which Google's page "Error codes" of Pub/Sub says so, and its
/// own clients do. After some of them (DEADLINE_EXCEEDED, UNKNOWN, CANCELLED) the server may have taken the messages.
bool worth_repeating(Code code);

/// The failure for people; `what` is a verb with its object: "publish to projects/p/topics/t".
Error call_error(const CallStatus& status, const std::string& what);

}  // namespace penstock::pubsub
