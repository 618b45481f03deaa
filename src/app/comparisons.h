#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/document.h"
#include "state/measures.h"
#include "verify/comparison.h"

namespace penstock::app {

/// What comparisons have found of a pipeline, part by part of its keys (`verify: {parts}`).
struct Comparisons {
    TimePoint since{};                ///< all of it was compared since then; zero: not all of it ever was
    int64_t differences = 0;          ///< that were found when each part was last compared
    std::vector<std::string> differ;  ///< the parts with differences: "3/24"; "1/1" is all of it
};

/// By pipeline, of those that anything was compared of.
std::map<std::string, Comparisons> comparisons_of(const std::vector<state::Measure>& measures);

/// The part to compare next: one that never was, else the one that was longest ago.
Result<verify::Part> next_part(const config::Document& document, const std::string& pipeline, int64_t parts);

/// Puts what a comparison of all tables has found on record.
Status record_comparison(const config::Document& document, const std::string& pipeline, const verify::Part& part,
                         int64_t differences);

}  // namespace penstock::app
