#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/document.h"
#include "state/record.h"

namespace penstock::app {

/// What a pipeline's checks have found in its runs, from the run history, so that it is there whatever the target is. Of runs
/// that ended well, and of rows that were published. Any thread. The history is read as far as it is asked for, and once.
class PastChecks {
  public:
    PastChecks(const config::Document& document, std::string pipeline)
        : document_(document), pipeline_(std::move(pipeline)) {}

    /// Newest first, `most` of them at most. `series` as in flow::Validation.
    Result<std::vector<double>> numbers(const std::string& table, const std::string& series, size_t most);

  private:
    Status read_more();

    const config::Document& document_;
    const std::string pipeline_;
    std::mutex mutex_;
    std::vector<state::RunRecord> runs_;
    bool all_read_ = false;
};

}  // namespace penstock::app
