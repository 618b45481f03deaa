#pragma once

#include <cstdint>

namespace penstock {

inline constexpr int64_t micros_per_second = 1'000'000;
inline constexpr int64_t micros_per_day = 86'400 * micros_per_second;

}  // namespace penstock
