#include "base/ids.h"

#include <fmt/format.h>

#include <random>

#include "base/clock.h"

namespace penstock {

std::string new_run_id() {
    std::random_device device;
    uint64_t bits = (static_cast<uint64_t>(device()) << 32 | device()) & 0xffffffffffff;
    return expand_time("{yyyyMMdd}t{HH}{mm}{ss}", now()) + fmt::format("_{:012x}", bits);
}

}  // namespace penstock
