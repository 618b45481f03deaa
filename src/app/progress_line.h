#pragma once

#include <cstdint>
#include <string>

namespace penstock::app {

/// What is known of a load that goes on.
struct ProgressFigures {
    std::string table;
    int64_t rows = 0;
    int64_t estimated_rows = -1;  ///< of the whole read; -1 unknown
    int64_t bytes = 0;
    int64_t rejected = 0;
    double rows_per_second = 0;  ///< lately
};

/// A line of the progress display, at most `width` columns:
///
///     public.orders  ━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌  52%  2,613,248 rows  312 MiB  841 k/s  2.9 s left
///
/// The bar and the time left are there when there is an estimate. What does not fit is left out from the least telling on.
std::string progress_line(const ProgressFigures& figures, size_t name_width, size_t width);

/// 17/s, 8.4 k/s, 841 k/s, 2.1 M/s
std::string humane_rate(double per_second);

/// The rate of a counter, smoothed over about three seconds so that the time left does not jump.
class Pace {
  public:
    /// `seconds` since the load began, never smaller than before.
    void update(double seconds, int64_t count);
    double per_second() const { return rate_; }

  private:
    double last_seconds_ = 0;
    int64_t last_count_ = 0;
    double rate_ = 0;
};

}  // namespace penstock::app
