#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connect/mysql/table.h"
#include "flow/runner.h"

namespace penstock::mysql {

/// A table with one row a run: organization_id, job_id (the run's id), status IN_PROGRESS, SUCCESS or FAILED, error_message; and
/// `steps`, as JSON, where it has such a column. Made when there is none. One thread.
class Jobs {
  public:
    static Result<std::unique_ptr<Jobs>> open(const state::Place& place, const std::string& table);

    /// The caller has the pipeline's lock: what is still IN_PROGRESS of this organization was cut off, and is FAILED now.
    Status begin(const std::string& organization, const std::string& job);
    /// Also for one that was never begun.
    Status end(const std::string& organization, const flow::RunResult& result);

  private:
    Jobs(std::unique_ptr<Tables> tables, std::string table, bool has_steps)
        : tables_(std::move(tables)), table_(std::move(table)), has_steps_(has_steps) {}
    Status insert(const std::string& organization, const std::string& job);

    std::unique_ptr<Tables> tables_;
    std::string table_;  ///< quoted
    bool has_steps_;
};

}  // namespace penstock::mysql
