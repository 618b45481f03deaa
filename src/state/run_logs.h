#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "state/place.h"

namespace penstock::state {

class Connection;

/// A line that a run has logged. Numbers that are not there, between those that are, are lines that were left out.
struct RunLogLine {
    int64_t number = 0;  ///< from 1
    std::string json;
};

/// What runs have logged. Goes with the run when the history forgets it (Store::end_run). One thread.
class RunLogs {
  public:
    /// Connects once something is written.
    explicit RunLogs(Place place);
    /// Nothing when there is no state yet, and none is made.
    static Result<std::optional<RunLogs>> open_existing(const std::string& url, const std::filesystem::path& directory);
    ~RunLogs();
    RunLogs(RunLogs&&) noexcept;

    /// Puts down lines whose numbers are above all that are there, and lets go of those above `head` and below `tail`. Done twice, it
    /// is done once. Nothing happens where the history has no such run.
    Status add(const std::string& run_id, std::span<const RunLogLine> lines, int64_t head, int64_t tail);
    /// The first of those above `after`, in order.
    Result<std::vector<RunLogLine>> lines(const std::string& run_id, int64_t after, int most);

  private:
    Status add_some(const std::string& run_id, std::span<const RunLogLine> lines, int64_t head, int64_t tail);
    Place place_;
    std::unique_ptr<Connection> connection_;
};

}  // namespace penstock::state
