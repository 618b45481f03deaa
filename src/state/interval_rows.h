#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schedule/interval.h"
#include "state/soci.h"

namespace penstock::state {

/// Intervals and watches as rows of a transaction, for the bodies of state.

std::optional<schedule::Interval> select_interval(soci::session& sql, const schedule::Interval& with_this_window);
std::optional<schedule::Interval> select_interval(soci::session& sql, const std::string& token);
std::vector<schedule::Interval> select_open_intervals(soci::session& sql);
/// Those that ended and whose window ends at this time or later.
std::vector<schedule::Interval> select_ended_since(soci::session& sql, TimePoint window_end);
/// Of a pipeline, or of all (""); the newest windows first.
std::vector<schedule::Interval> select_newest(soci::session& sql, const std::string& pipeline, int most);
void insert_interval(soci::session& sql, const schedule::Interval& interval);
void update_interval(soci::session& sql, const schedule::Interval& interval);
void delete_interval(soci::session& sql, const schedule::Interval& with_this_window);
void delete_ended_before(soci::session& sql, TimePoint before);

std::vector<schedule::Watch> select_watches(soci::session& sql);
/// A new one where there is none.
schedule::Watch select_watch(soci::session& sql, const std::string& pipeline);
void put_watch(soci::session& sql, const schedule::Watch& watch);

}  // namespace penstock::state
