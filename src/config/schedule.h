#pragma once

#include <optional>
#include <string_view>

namespace penstock::config {

/// How often a cron expression of five fields, or a nickname, is due in a month, on the average of four years; nothing where it
/// cannot be told.
std::optional<double> runs_a_month(std::string_view schedule);

}  // namespace penstock::config
