#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace penstock::state {

class Connection;

/// A number that metrics are made of. Counts only grow, whatever the history forgets.
struct Measure {
    enum class Kind {
        runs,          ///< count of a pipeline's runs, by `outcome`: their status
        duration,      ///< count of its runs, by `subject`: seconds that they took at most, "+Inf" for longer ones
        duration_sum,  ///< microseconds that they took
        rows,          ///< count by `subject`, the source table, and `outcome`: written, rejected, filtered
        bytes_billed,  ///< count
        loaded_until,  ///< microseconds since 1970: when its newest success began
        open_rejects,  ///< rejected rows that are neither replayed nor discarded
        slot_bytes,    ///< what a server keeps for a slot, by `owner`: the connection, and `subject`: the slot
        backup_at,     ///< microseconds since 1970: when the newest backup of `owner` was complete
        drill_at,      ///< microseconds since 1970: when the last drill of `owner`, a backup, ended
        drill_passed,  ///< 1 or 0
        drill_rto,     ///< microseconds
        drill_rpo,     ///< microseconds
        compared_at,  ///< microseconds since 1970: when a part of a pipeline's keys was last compared, by `subject`: "3/24"
        differences,  ///< that were found then, by the same
    };
    std::string owner;  ///< a pipeline, a connection or a backup
    Kind kind{};
    std::string subject = {}, outcome = {};
    int64_t amount = 0;
    TimePoint measured_at{};
};
std::string_view to_string(Measure::Kind kind);

/// What runs took, as histograms want it: the upper bounds in seconds, without the last, which is infinite.
std::span<const int64_t> duration_bounds();

/// The measures of a project, the same for every process that has its state. Store counts runs itself, as they end. One thread.
class Measures {
  public:
    /// Nothing when there is no state yet, and none is made.
    static Result<std::optional<Measures>> open_existing(const std::string& url,
                                                         const std::filesystem::path& directory);
    ~Measures();
    Measures(Measures&&) noexcept;

    /// By owner, kind, subject; at most a hundred thousand.
    Result<std::vector<Measure>> all();
    Status set(const Measure& measure);
    /// The only ones of that owner and kind from now on.
    Status replace(const std::string& owner, Measure::Kind kind, std::span<const Measure> measures);
    /// Takes so many away; what was not counted leaves no debt. Done twice where the answer to the commit is lost: whoever counts
    /// the whole sets it.
    Status take_away(const Measure& measure);

  private:
    explicit Measures(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

}  // namespace penstock::state
