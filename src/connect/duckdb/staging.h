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

    /// Leaves out rows that must not replace what the target has, by its rows T (`among` says which count, "" all):
    /// - A key that is not the source's primary key may be several rows' of the source, and a load may bring one of them
    ///   alone (a replay, a row found late): where the target has another one of this key that is newer by cursor, it stays,
    ///   as it would if both had come at once.
    /// - A rejected row without primary key is replayed as it was when it was rejected: it replaces only what is older.
    Status leave_out_outdated(const std::string& among = "");

    /// Deletes rows by a condition on S, counting them as filtered.
    Status filter(const std::string& statement);
    Status drop();

  private:
    explicit Staging(Load& load) : load_(&load) {}
    Status prepare_key();
    std::string outdated() const;
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

/// Says that the target has rows of one key that must be there once: `repeated` selects keys that are not, as columns of the
/// target's; `why` says what cannot be done for it. Nothing when the select is empty.
Status refuse_repeated_keys(Load& load, const std::vector<std::string>& key, const std::string& repeated,
                            std::string_view why);

/// A row as JSON text, an SQL expression: all columns, or `only` some by their names in the target.
std::string row_json(const Shape& shape, const std::vector<std::string>* only);

/// "T.a = S.a AND T.b = S.b"
std::string join_on(const std::vector<std::string>& names, std::string_view left = "T", std::string_view right = "S");
/// The same where NULL equals NULL.
std::string same_on(const std::vector<std::string>& names, std::string_view left, std::string_view right);

}  // namespace penstock::duckdb
