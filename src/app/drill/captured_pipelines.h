#pragma once

#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "app/drill/compared_pipelines.h"
#include "connect/postgres/replication/lsn.h"
#include "state/store.h"

namespace penstock::app {

/// Pipelines of `drill: {verify: …}` that capture changes. The target of each has what was committed before one place of the log:
/// recovery pauses right there, readers are let in, and the two are compared as they stand; then recovery goes on.
class CapturedPipelines {
  public:
    /// Reads where they stand, under their locks, so that no run commits before the comparison. One that somebody runs, as those do that
    /// follow, goes without.
    static Result<CapturedPipelines> look_at(const config::Document& document, const config::Backup& backup,
                                             const std::string& system_identifier);

    bool empty() const { return all_.empty(); }
    /// Where recovery pauses; the last of them is the farthest.
    std::set<postgres::Lsn> places() const;
    /// Those that cannot be compared, for recovery does not come by: up to `first` nobody is let in, and the log ends at `last`.
    void leave_out(postgres::Lsn first, postgres::Lsn last);
    /// Nor those that stand there, for this reason.
    void leave_out(postgres::Lsn place, const Error& why);
    /// Compares those that stand there, and gives up their locks.
    void compare(postgres::Lsn place, const Sandbox& sandbox, const std::stop_token& stop);
    std::vector<ComparedPipeline> outcome() const;

  private:
    struct Stand {
        postgres::Lsn place{};
        std::optional<state::Lock> lock{};
        ComparedPipeline found;
        bool is_over = false;  ///< compared, or it cannot be
    };
    explicit CapturedPipelines(const config::Document& document) : document_(&document) {}

    const config::Document* document_;
    std::vector<Stand> all_;
};

}  // namespace penstock::app
