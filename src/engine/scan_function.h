#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/error.h"
#include "engine/database.h"
#include "flow/scan.h"

namespace penstock::engine {

/// Lends a flow::Scan to a database as a table function: `SELECT … FROM penstock_scan(7)`. Each DuckDB thread that pulls
/// takes a reader of its own and decodes straight into DuckDB's vectors; strings are not copied. The scan can be read
/// once. Its columns are the schema's, in order. Must outlive the statement and stay on the thread that made it.
class LentScan {
  public:
    LentScan(Database& database, flow::Scan& scan, int64_t estimated_rows = -1);
    ~LentScan();
    LentScan(const LentScan&) = delete;
    LentScan& operator=(const LentScan&) = delete;

    /// penstock_scan(7), to stand in a FROM clause.
    std::string sql() const;
    const data::Schema& schema() const { return scan_.schema(); }
    /// Rows handed to DuckDB; all of them once the statement has ended.
    int64_t rows() const { return rows_.load(std::memory_order_relaxed); }
    /// The reader's own error where a reader failed, else the given one: what DuckDB says of a failed reader is only an echo.
    Error original(Error from_duckdb) const;

  private:
    friend class ScanRegistry;
    friend struct ScanCallbacks;
    void failed(Error error);

    ScanRegistry& registry_;
    flow::Scan& scan_;
    int64_t estimated_rows_;
    uint64_t id_ = 0;
    std::atomic<int64_t> rows_ = 0;
    mutable std::mutex mutex_;
    std::optional<Error> error_;
};

/// The scans lent to one database, by number.
class ScanRegistry {
  public:
    /// Makes penstock_scan known to the database; once.
    static Status install(duckdb_connection connection, ScanRegistry& registry);

    uint64_t add(LentScan& scan);
    void remove(uint64_t id);
    LentScan* find(uint64_t id);

  private:
    std::mutex mutex_;
    std::map<uint64_t, LentScan*> scans_;
    uint64_t next_ = 1;
};

}  // namespace penstock::engine
