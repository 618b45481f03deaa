#pragma once

#include <memory>
#include <string>

#include "check/expectation.h"
#include "check/reference.h"
#include "engine/database.h"
#include "flow/source.h"
#include "flow/validation.h"

namespace penstock::check {

/// The code of rejects of checks, whose rows are recorded as they are behind the steps.
inline constexpr const char* rejected_code = "check_failed";

/// The rows of one part in a table of a database beside, so that they can be asked as a whole before any of them goes on. They
/// spill to disk when memory runs out.
class StagedRows {
  public:
    /// Pulls the scan to its end.
    static Result<std::unique_ptr<StagedRows>> fill(engine::Database& database, flow::Scan& scan,
                                                    const flow::TableInfo& info, const flow::ScanContext& context);
    /// A table without rows, to try questions on.
    static Result<std::unique_ptr<StagedRows>> none(engine::Database& database, const flow::TableInfo& info);
    ~StagedRows();
    StagedRows(const StagedRows&) = delete;
    StagedRows& operator=(const StagedRows&) = delete;

    /// Asks every expectation and tells the log. Rows of those that reject become rejects; a failed one that stops is the
    /// error.
    /// `reads` as in flow::AskedTable.
    Status check(const std::vector<Expectation>& expectations, const Reference& reference, const std::string& reads,
                 const flow::ScanContext& context, flow::ValidationLog* log);

    /// The same of a table without rows: only whether it can be asked.
    Status try_out(const std::vector<Expectation>& expectations);

    /// What is left, from where the caller before came to. One thread at a time.
    Result<duckdb_data_chunk> next();

  private:
    StagedRows(engine::Connection connection, const flow::TableInfo& info, std::string table);
    flow::AskedTable asked();
    Status mark_rejects(const Expectation& expectation, const flow::Validation& validation);
    Status reject_marked(const flow::ScanContext& context);

    engine::Connection connection_;
    const flow::TableInfo& info_;
    std::string table_;
    bool any_marked_ = false;
    bool reading_ = false;
    duckdb_result rows_{};
};

}  // namespace penstock::check
