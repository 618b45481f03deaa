#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/settings.h"
#include "connect/bigquery/schema_change.h"
#include "engine/database.h"
#include "flow/scan.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// A column of a staging table: why a row is not to be taken; NULL for all others.
inline constexpr const char* reject_column = "_penstock_reject";

/// The rows of a load as Parquet files on this machine, with what must be known of them before they are loaded.
struct StagedFiles {
    std::vector<std::filesystem::path> files;
    std::vector<Column> columns;  ///< of the files, and so of the staging table
    bool marks_rejects = false;   ///< reject_column is among them
    int64_t rows = 0;             ///< in the files
    int64_t rows_read = 0;        ///< handed over by the scan
    int64_t rejected = 0;         ///< of the files' rows, those with a mark
    int64_t filtered = 0;         ///< not in the files: older than another of their key
    int64_t bytes = 0;

    int64_t taken() const { return rows - rejected; }
};

/// Writes scans as Parquet files below a folder, one load after another. What BigQuery cannot hold is found on the way, so that
/// rows are encoded once. Where a key may not be unique, or hold NULL, it is made so: of several rows the newest by cursor
/// stays, rows that are the same collapse, and where the newest differ they are rejected (duplicate_key, null_key).
class LocalStage {
  public:
    LocalStage(engine::Database& database, engine::Connection& connection, std::filesystem::path folder,
               const config::TypePolicies& policies)
        : database_(database), connection_(connection), folder_(std::move(folder)), policies_(policies) {}
    /// Rows of write() that may be larger are rejected (row_too_large).
    void limit_rows(int64_t most_bytes) { most_row_bytes_ = most_bytes; }

    /// A column beside the table's: SQL over a row of the scan, and what it becomes.
    struct Extra {
        std::string sql;
        Column column;
    };
    Result<StagedFiles> write(const flow::TableTarget& target, const Shape& shape, flow::Scan& scan,
                              const flow::ScanContext& context, const std::vector<Extra>& extras = {});
    /// The rows of a query over tables of the embedded engine; all are taken.
    Result<StagedFiles> write_rows(const std::string& select, std::vector<Column> columns);
    /// What keeps a row out: SQL over columns of the source's names and types that is NULL for a row to take; "" for a table all of
    /// whose values BigQuery holds.
    struct Marks {
        std::string sql;
        std::vector<std::string> faults;  ///< "column\ncode", by the number in the mark
    };
    Marks marks_of(const flow::TableTarget& target, const Shape& shape) const;
    /// Puts a marked row to the rejects.
    Status reject(const flow::TableTarget& target, const Marks& marks, const std::string& mark,
                  const std::string& position, const flow::ScanContext& context);
    /// One row of aggregates over staged rows that have no mark; nothing where there are no files.
    Result<engine::Rows> look(const StagedFiles& staged, const std::string& select);
    /// The smallest and largest value of a staged column as GoogleSQL literals; nothing where it has none, or its type no order.
    struct Range {
        std::string low, high;
    };
    Result<std::optional<Range>> range_of(const StagedFiles& staged, const ColumnPlan& column);
    /// What the staged rows reach of a table's partitions, as ranges of the column in ascending order, none of which reaches more
    /// partitions than one job may change. Nothing where no row has a value in it, or its type has no order.
    Result<std::vector<Range>> partition_ranges(const StagedFiles& staged, const ColumnPlan& column,
                                                const Partitioning& partitioning);
    /// Rejects as a file to load, with ids made from the run's.
    Result<StagedFiles> write_rejects(const flow::RunIdentity& run, const std::vector<const flow::RejectLog*>& logs,
                                      const std::vector<Column>& columns);
    void clear() noexcept;

  private:
    std::filesystem::path next_folder();
    Status copy(const std::string& select, const std::filesystem::path& folder);
    Status list_files(const std::filesystem::path& folder, StagedFiles& staged);
    Status collect_rejects(const flow::TableTarget& target, const Marks& marks, StagedFiles& staged,
                           const flow::ScanContext& context);
    Status make_keys_unique(const flow::TableTarget& target, const Shape& shape, StagedFiles& staged,
                            const flow::ScanContext& context);
    Result<int64_t> reject_rows(const flow::TableTarget& target, const Shape& shape, const std::string& from,
                                const char* code, const std::string& reason, const flow::ScanContext& context);

    engine::Database& database_;
    engine::Connection& connection_;
    std::filesystem::path folder_;
    const config::TypePolicies& policies_;
    int folders_ = 0;
    int64_t most_row_bytes_ = 0;  ///< 0: any
};

}  // namespace penstock::bigquery
