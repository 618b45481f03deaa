#pragma once

#include <span>
#include <string_view>

#include "base/error.h"

namespace penstock {

/// A place where tests make the program fail. `PENSTOCK_FAILPOINT=name[@visit]=kill|error|delay[,name=…]` arms them, from that
/// visit on (the first where none is given):
/// kill sends SIGKILL to this process, error returns a retryable Error, delay sleeps a second. Unarmed it costs one load.
/// Every external step has one before and one after; names stand in failpoints.h, the only table.
enum class Failpoint : unsigned char {
#define PN_FAILPOINT_ENTRY(identifier, what) identifier,
#include "base/failpoints.h"
#undef PN_FAILPOINT_ENTRY
    count_
};

struct FailpointInfo {
    std::string_view name;
    std::string_view what;
};

std::span<const FailpointInfo> failpoints();

/// Reads PENSTOCK_FAILPOINT once; an unknown name is a usage error. Call from main before threads start.
Status arm_failpoints(const char* spec);

extern bool failpoints_armed;
Status hit_failpoint(Failpoint point);

}  // namespace penstock

#define PN_FAILPOINT(identifier)                                                    \
    do {                                                                            \
        if (::penstock::failpoints_armed) [[unlikely]]                              \
            PN_CHECK(::penstock::hit_failpoint(::penstock::Failpoint::identifier)); \
    } while (false)
