#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock {

/// 1.5 GiB, 312 MiB, 17 B.
std::string humane_bytes(uint64_t bytes);
/// 5,000,000
std::string humane_count(int64_t count);
/// 0.3 s, 42 s, 3 min 20 s, 2 h 05 min
std::string humane_duration(std::chrono::duration<double> duration);

/// "512MiB", "10GB", "1024" (bytes). Binary suffixes are powers of 1024, decimal ones of 1000.
Result<uint64_t> parse_bytes(std::string_view text);
/// "5s", "250ms", "5m", "1h", "2d"; a bare number is seconds.
Result<std::chrono::microseconds> parse_duration(std::string_view text);

/// The candidate nearest to `name` by edit distance, or "" when none is near enough to suggest.
template <class Names>
std::string nearest_name(std::string_view name, const Names& candidates);
size_t edit_distance(std::string_view a, std::string_view b);

template <class Names>
std::string nearest_name(std::string_view name, const Names& candidates) {
    std::string best;
    size_t best_distance = name.size() / 3 + 2;
    for (const auto& candidate : candidates) {
        size_t distance = edit_distance(name, candidate);
        if (distance < best_distance) best_distance = distance, best = std::string(candidate);
    }
    return best;
}

}  // namespace penstock
