#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/duckdb/load.h"

namespace penstock::duckdb {

/// The rows of one load in a TEMP table under the target's column names, gone with the transaction.
class Staging {
  public:
    /// Pulls the scan to its end.
    static Result<Staging> fill(Load& load);

    const std::string& table() const { return table_; }
    int64_t rows() const { return rows_; }
    int64_t filtered() const { return filtered_; }

    /// After this every key is there once, and none is NULL. A NULL in the key rejects the row (null_key). Of several rows
    /// with one key the newest by cursor stays and the others count as filtered; rows that are the same collapse; where the
    /// newest differ among themselves they are rejected (duplicate_key).
    Status make_keys_unique();
    /// The same, but keeps each row of a key whose cursor is different: versions of it.
    Status make_versions_unique();

    /// Deletes rows by a condition on S, counting them as filtered.
    Status filter(const std::string& statement);
    Status drop();

  private:
    explicit Staging(Load& load) : load_(&load) {}
    Status prepare_key();
    Status reject_null_keys();
    Status resolve_duplicates(const std::vector<std::string>& unique);
    Result<int64_t> reject(const std::string& from, const char* code, const std::string& reason);

    Load* load_;
    std::string table_;
    std::vector<std::string> key_;
    std::string cursor_;  // the target's name of the cursor column, "" without one
    int64_t rows_ = 0;
    int64_t filtered_ = 0;
};

/// "T.a = S.a AND T.b = S.b"
std::string join_on(const std::vector<std::string>& names, std::string_view left = "T", std::string_view right = "S");
/// The same where NULL equals NULL.
std::string same_on(const std::vector<std::string>& names, std::string_view left, std::string_view right);

}  // namespace penstock::duckdb
