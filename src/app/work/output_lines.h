#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace penstock::app {

/// What a program prints: line by line to the log, in bounded memory; the last lines are kept.
class OutputLines {
  public:
    /// `tells_time`: of lines that begin as "12:30:59  " the rest is told.
    explicit OutputLines(bool tells_time) : tells_time_(tells_time) {}

    void add(std::string_view bytes);
    /// The line that has no end yet.
    void finish();
    const std::deque<std::string>& last() const { return last_; }

  private:
    void tell(std::string_view line);

    bool tells_time_;
    std::string begun_;
    std::deque<std::string> last_;
};

}  // namespace penstock::app
