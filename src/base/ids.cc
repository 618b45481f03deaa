#include "base/ids.h"

#include <fmt/format.h>

#include <random>

#include "base/clock.h"

namespace penstock {

std::string new_run_id() {
    auto at = now();
    // Microseconds in front of what is random: ids of one second are in order as well.
    auto micros = static_cast<uint64_t>(at.time_since_epoch().count() % 1'000'000);
    std::random_device device;
    uint64_t bits = micros << 28 | (device() & 0xfffffff);
    return expand_time("{yyyyMMdd}t{HH}{mm}{ss}", at) + fmt::format("_{:012x}", bits);
}

}  // namespace penstock
