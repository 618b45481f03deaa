#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_set>

#include "base/error.h"
#include "data/block.h"

namespace penstock::steps {

/// 128 bits of SHA-256 over a row's values: two rows with the same values have the same.
using RowDigest = std::array<uint64_t, 2>;
RowDigest digest_of(const data::Block& block, const std::vector<size_t>& columns, size_t row, std::string& scratch);

/// Keys that were seen lately, bounded in number and age. Any thread.
class SeenKeys {
  public:
    using Clock = std::chrono::steady_clock;

    /// `within` 0: keys stay, and more than `most` of them are refused; else the oldest are forgotten.
    SeenKeys(std::chrono::microseconds within, size_t most) : within_(within), most_(most) {}

    /// Whether the key was not seen before; from now on it was.
    Result<bool> is_new(const RowDigest& key, Clock::time_point now);

  private:
    struct Hash {
        size_t operator()(const RowDigest& key) const { return key[0]; }
    };
    struct Seen {
        Clock::time_point at;
        RowDigest key;
    };

    std::chrono::microseconds within_;
    size_t most_;
    std::mutex mutex_;
    std::unordered_set<RowDigest, Hash> keys_;
    std::deque<Seen> order_;  ///< of those that will be forgotten
};

}  // namespace penstock::steps
