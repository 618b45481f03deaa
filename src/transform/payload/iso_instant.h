#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "transform/debezium/times.h"

namespace penstock::payload {

/// ".678", of either sign; "" for none.
inline std::string fraction_of(int32_t nanos) {
    std::string text = nanos == 0 ? "" : fmt::format(".{:09}", std::abs(nanos));
    while (text.ends_with('0')) text.pop_back();
    return text;
}

/// 2026-11-22T13:14:15.678901234 of seconds since 1970 and the nanoseconds after them, without zeros at the end.
inline void append_iso_instant(int64_t seconds, int32_t nanos, std::string& out) {
    debezium::append_iso_timestamp(seconds * 1'000'000, out);
    out.pop_back();
    out += fraction_of(nanos);
}

}  // namespace penstock::payload
