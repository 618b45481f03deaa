#pragma once

#include <duckdb.h>

#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/block.h"
#include "engine/database.h"
#include "engine/types.h"
#include "flow/scan.h"

namespace penstock::engine {

/// The result of a query, all of it, in memory of its own. Cheap to move.
class BatchResult {
  public:
    BatchResult() = default;
    BatchResult(BatchResult&& other) noexcept;
    BatchResult& operator=(BatchResult&& other) noexcept;
    ~BatchResult();

    int64_t rows() const { return rows_; }
    /// The next rows into a clear block of the query's types; none at the end. Strings stay valid until the next call.
    void next(data::Block& block);
    /// The first row of a query of two VARCHAR.
    std::pair<std::string, std::string> two_texts();

  private:
    friend class BatchSession;
    explicit BatchResult(duckdb_result result);
    void close();

    duckdb_result result_{};
    duckdb_data_chunk chunk_ = nullptr;
    int64_t rows_ = 0;
    bool open_ = false;
};

/// Runs queries over one block of rows after the other, which they see as the table `batch_rows`. A session of its own: one thread
/// at a time. A statement is prepared once; the blocks are lent to DuckDB, so that their strings are not copied on the way in.
class BatchSession {
  public:
    static constexpr const char* batch_rows = "penstock_rows";

    /// `schema` must outlive it; it is what blocks will have.
    static Result<std::unique_ptr<BatchSession>> open(Database& database, const data::Schema& schema,
                                                      std::stop_token stop = {});
    ~BatchSession();
    BatchSession(const BatchSession&) = delete;
    BatchSession& operator=(const BatchSession&) = delete;

    /// What a query would give.
    Result<std::vector<TargetColumn>> describe(const std::string& sql);
    /// Some of a block's rows.
    struct Range {
        size_t first;
        size_t rows;
    };
    /// Runs it over those rows of the block as one batch. An error of kind `data` lies in the rows' values; what a query said
    /// by error() is its message.
    Result<BatchResult> run(const std::string& sql, const data::Block& block, std::span<const Range> ranges);

  private:
    class Rows;
    struct Statements;
    BatchSession(Database& database, Connection connection, const data::Schema& schema);
    Result<duckdb_prepared_statement> prepared(const std::string& sql);

    Connection connection_;
    std::unique_ptr<Rows> rows_;
    std::unique_ptr<class LentScan> lent_;
    std::unique_ptr<Statements> statements_;
};

}  // namespace penstock::engine
