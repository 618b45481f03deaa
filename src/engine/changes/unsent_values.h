#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/changes/staged_changes.h"

namespace penstock::engine {

/// The values that the source did not send because they had not changed, found in earlier changes of the part or in the
/// target's rows, before anything in the target is touched. In this order:
///   1. the newest earlier change of the same row that has the value: by key, or by identity where the row has been moved;
///   2. for a moved row, the newest change under its first key before the move;
///   3. the target's row under that key, which is the target's affair: see complete().
/// A row of which a value is nowhere to be found (the target never had the row) goes to the rejects.
class UnsentValues {
  public:
    /// The first two of these. `wanted` selects the row ids of staged changes whose values are needed.
    static Result<UnsentValues> find(StagedChanges& changes, const std::string& wanted);
    /// Nothing was left out.
    static UnsentValues none(StagedChanges& changes) { return UnsentValues(changes); }
    Status drop();

    bool any() const { return !columns_.empty(); }
    const std::vector<const ChangedColumn*>& unsent() const { return columns_; }
    /// Rows of `sources` whose value in some column is to come from the target: a condition on R.
    std::string missing() const;

    struct FromTarget {
        std::string joins;  ///< behind `sources` R: " LEFT JOIN … G ON …"
        std::string found;  ///< a condition: the target has the row
        std::function<std::string(const ChangedColumn&)> value;
        std::string more = {};  ///< further columns: ", G.target AS target"
    };
    /// The third. Rows that are lost go to the rejects.
    Status complete(const FromTarget& from);

    /// The table's columns of a staged row S, complete: "S.a, CASE … END AS b, S.c"
    std::string columns() const;
    /// What must stand behind S in the FROM clause, " LEFT JOIN … U …" or "".
    std::string join() const;
    /// Of a staged row S with U: one character an unsent column, '1' where its value is to come from the target.
    std::string needs() const;

    int64_t lost = 0;  ///< rows rejected
    /// Their row ids as column `id`.
    static constexpr const char* lost_rows = "temp.main.penstock_lost";
    /// Of each wanted row, where each value comes from: (id, identity, key as k0…, source_0, source_1 …), NULL: from the target.
    static constexpr const char* sources = "temp.main.penstock_sources";

    /// "CAST(NULL AS INTEGER) AS k0": of the key's types.
    std::string no_keys() const;
    /// "S.a AS k0, S.b AS k1"
    std::string numbered_keys(std::string_view prefix) const;
    /// Of rows with an identity: "any_value(origin) AS k0, …"
    std::string origins() const;
    /// Whether two rows of (identity, k0 …) are the same row's.
    std::string same_row(std::string_view left, std::string_view right) const;

  private:
    explicit UnsentValues(StagedChanges& changes) : changes_(&changes) {}
    Status find_columns();
    Status link();
    Status find_sources();
    Status reject_lost();
    std::string sent(const ChangedColumn& column, std::string_view row) const;

    StagedChanges* changes_;
    std::vector<const ChangedColumn*> columns_;  // those that some row has not
};

/// One text for each key column, between separators: "T.a = N.k0 AND …"
std::string for_each_key(size_t keys, std::string_view separator, const std::function<std::string(size_t)>& one);

}  // namespace penstock::engine
