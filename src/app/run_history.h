#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"
#include "state/record.h"

namespace penstock::app {

/// A run of the past in the shape of one that has just ended.
nlohmann::ordered_json record_json(const state::RunRecord& record);

/// 2026-11-21 06:33:33, in UTC as everything Penstock writes; "" for never.
std::string moment(TimePoint time);

}  // namespace penstock::app
