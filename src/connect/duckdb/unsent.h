#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/duckdb/changes.h"

namespace penstock::duckdb {

/// The values that the source did not send because they had not changed, found in earlier changes of the part or in the
/// target's rows, before anything in the target is touched. In this order:
///   1. the newest earlier change of the same row that has the value: by key, or by identity where the row has been moved;
///   2. for a moved row, the newest change under its first key before the move;
///   3. the target's row under that key.
/// A row of which a value is nowhere to be found (the target never had the row) goes to the rejects.
class UnsentValues {
  public:
    /// `wanted` selects the row ids of staged changes whose values are needed.
    static Result<UnsentValues> find(Changes& changes, const std::string& wanted);
    /// Nothing was left out.
    static UnsentValues none(Changes& changes) { return UnsentValues(changes); }
    Status drop();

    /// The source's columns of a staged row S, complete: "S.a, CASE … END, S.c"
    std::string columns() const;
    /// What must stand behind S in the FROM clause, " LEFT JOIN …" or "".
    std::string join() const;

    int64_t lost = 0;  ///< rows rejected
    /// Their row ids as column `id`.
    static constexpr const char* lost_rows = "temp.main.penstock_lost";

  private:
    explicit UnsentValues(Changes& changes) : changes_(&changes) {}
    Status find_columns();
    Status link();
    Status find_sources();
    Status find_targets();
    Status complete();
    Status reject_lost();
    std::string sent(const ColumnPlan& column, std::string_view row) const;
    std::string no_keys() const;

    Changes* changes_;
    std::vector<const ColumnPlan*> columns_;  // those that some row has not
};

}  // namespace penstock::duckdb
