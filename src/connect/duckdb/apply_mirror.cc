// A mirror of the source's table. Of the changes of one key only the newest decides, so those are found first, by one
// aggregate over keys, positions and row ids; the rows themselves are read once, when the winners are written. They replace
// their older selves by delete and insert within the transaction (see merge.cc for why). A change that is not newer than the
// target's row is an old acquaintance and is left out.
//
// Under soft deletes a deleted row keeps the last values that are known of it: those of the newest change of its key that
// has any, else those that the target has.
#include <fmt/format.h>

#include <algorithm>

#include "connect/duckdb/changes.h"
#include "connect/duckdb/newest_position.h"
#include "connect/duckdb/staging.h"
#include "connect/duckdb/unsent.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using engine::quote_list;
namespace change = flow::change;

using engine::winners;
/// What only the target has of rows that are replaced.
constexpr const char* kept = "temp.main.penstock_kept";
/// Rows that are deleted, as the target has them, marked.
constexpr const char* marked = "temp.main.penstock_marked";

struct Mirror {
    Changes& changes;
    Load& load = changes.load;
    bool soft = load.target.deletes == flow::Deletes::soft;
    bool marks = soft;  ///< the target has a column for deleted rows, if only from former times
    std::vector<std::string> extra = {};
    UnsentValues values = UnsentValues::none(changes);

    std::string on(std::string_view left, std::string_view right) const { return changes.on_key(left, right); }

    Status leave_out_known();
    Status complete_values();
    Status leave_out_losers();
    Status write();
    Status keep();
    Status insert(const std::string& from, const std::vector<std::string>& more);
    Status write_in_place();
    std::string rows() const;
    std::string names() const;
};

Status Mirror::leave_out_known() {
    if (load.into_empty) return {};
    PN_TRY(bool all_new, NewestPosition(load).is_before(changes));
    if (all_new) return {};
    PN_CHECK(load.run(fmt::format("DELETE FROM {} AS W USING {} AS T WHERE {} AND T.{} >= W.penstock_position", winners,
                                  load.into.quoted(), on("T", "W"), change::position)));
    return {};
}

Status Mirror::complete_values() {
    if (changes.unsent == 0) return {};
    PN_TRY(values, find_unsent(changes, engine::unsent_winners(soft)));
    if (values.lost > 0) PN_CHECK(engine::leave_out_lost_winners(changes, UnsentValues::lost_rows));
    return {};
}

/// Under hard deletes only the rows to write are left, which spares the write a join.
Status Mirror::leave_out_losers() {
    if (soft) return {};
    PN_CHECK(load.run(
        fmt::format("DELETE FROM {} WHERE rowid NOT IN (SELECT penstock_content FROM {} WHERE NOT penstock_deleted)",
                    staged_changes, winners)));
    return {};
}

/// Complete rows with the target's columns, of winners that have values and are to be in the target.
std::string Mirror::rows() const {
    if (!soft)
        return fmt::format("SELECT {}, S.{} AS {}, {} AS {}{} FROM {} S{}", values.columns(), change::position,
                           change::position, changes.synced, change::synced_at,
                           marks ? fmt::format(", false AS {}", change::deleted) : "", staged_changes, values.join());
    return fmt::format(
        "SELECT {}, W.penstock_position AS {}, {} AS {}, W.penstock_deleted AS {} FROM {} S JOIN {} W ON "
        "S.rowid = W.penstock_content{}",
        values.columns(), change::position, changes.synced, change::synced_at, change::deleted, staged_changes, winners,
        values.join());
}

std::string Mirror::names() const {
    return fmt::format("{}, {}, {}{}", changes.columns(), change::position, change::synced_at,
                       marks ? fmt::format(", {}", change::deleted) : "");
}

Status Mirror::keep() {
    if (!extra.empty()) {
        std::string repeated =
            fmt::format("SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1", changes.keys(), kept);
        PN_CHECK(load.run(
            fmt::format("DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS SELECT {1}, {2} FROM {3} T SEMI JOIN "
                        "(SELECT * FROM {4} WHERE penstock_content IS NOT NULL) W ON {5}",
                        kept, changes.keys(), quote_list(extra), load.into.quoted(), winners, on("T", "W"))));
        PN_CHECK(refuse_repeated_keys(load, changes.key, repeated,
                                      "and columns that the source has not: which of their values would stay is not "
                                      "certain"));
    }
    if (!soft) return {};
    PN_CHECK(
        load.run(fmt::format("DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS SELECT T.* REPLACE "
                             "(W.penstock_position AS {1}, {2} AS {3}, true AS {4}) "
                             "FROM {5} T JOIN {6} W ON {7} WHERE W.penstock_content IS NULL",
                             marked, change::position, changes.synced, change::synced_at, change::deleted,
                             load.into.quoted(), winners, on("T", "W"))));
    return {};
}

Status Mirror::insert(const std::string& from, const std::vector<std::string>& more) {
    std::string list = names() + (more.empty() ? "" : ", " + quote_list(more));
    PN_CHECK(load.run(
        fmt::format("INSERT INTO {0} ({1}) SELECT {1} FROM ({2}){3}", load.into.quoted(), list, from, load.order())));
    return {};
}

Status Mirror::write() {
    PN_CHECK(keep());
    if (!load.into_empty)
        PN_CHECK(load.run(
            fmt::format("DELETE FROM {} AS T USING {} AS W WHERE {}", load.into.quoted(), winners, on("T", "W"))));
    if (extra.empty()) {
        PN_CHECK(insert(rows(), {}));
    } else {
        // Columns that only the target has keep their values in replaced rows and take their defaults in new ones.
        PN_CHECK(insert(fmt::format("SELECT S.*, {} FROM ({}) S JOIN {} K ON {}", quote_list(extra, "K."), rows(), kept,
                                    on("K", "S")),
                        extra));
        PN_CHECK(insert(fmt::format("SELECT S.* FROM ({}) S ANTI JOIN {} K ON {}", rows(), kept, on("K", "S")), {}));
        PN_CHECK(load.run(fmt::format("DROP TABLE {}", kept)));
    }
    if (!soft) return {};
    PN_CHECK(load.run(
        fmt::format("INSERT INTO {} BY NAME SELECT * FROM {}; DROP TABLE {}", load.into.quoted(), marked, marked)));
    return {};
}

/// A unique index is checked against rows deleted in the same transaction too.
Status Mirror::write_in_place() {
    std::string set, table = load.into.quoted();
    for (const auto& name : load.column_names())
        if (std::ranges::find(changes.key, name) == changes.key.end())
            set += fmt::format("{0} = S.{0}, ", quote_identifier(name));
    set += fmt::format("{0} = S.{0}, {1} = S.{1}", change::position, change::synced_at);
    std::string row = fmt::format("{}, S.{}, S.{}", changes.columns("S."), change::position, change::synced_at);
    if (marks) {
        set += fmt::format(", {0} = S.{0}", change::deleted);
        row += fmt::format(", S.{}", change::deleted);
    }
    std::string gone =
        soft ? fmt::format(
                   "UPDATE {} AS T SET {} = W.penstock_position, {} = {}, {} = true FROM {} W WHERE {} AND "
                   "W.penstock_content IS NULL",
                   table, change::position, change::synced_at, changes.synced, change::deleted, winners, on("T", "W"))
             : fmt::format("DELETE FROM {} AS T USING {} AS W WHERE {} AND W.penstock_deleted", table, winners,
                           on("T", "W"));
    PN_CHECK(load.run(gone));
    PN_CHECK(
        load.run(fmt::format("MERGE INTO {} AS T USING ({}) AS S ON ({}) WHEN MATCHED THEN UPDATE SET {} WHEN NOT "
                             "MATCHED THEN INSERT ({}) VALUES ({})",
                             table, rows(), on("T", "S"), set, names(), row)));
    return {};
}

}  // namespace

Result<flow::Counts> mirror_by_key(Changes& changes) {
    Mirror mirror{.changes = changes};
    for (const auto& name : changes.load.shape.only_in_target)
        if (name == change::deleted) mirror.marks = true;
        else mirror.extra.push_back(name);
    PN_CHECK(engine::find_winners(changes, mirror.soft));
    PN_CHECK(mirror.leave_out_known());
    PN_CHECK(mirror.complete_values());
    PN_CHECK(mirror.leave_out_losers());
    PN_CHECK(changes.load.into_unique ? mirror.write_in_place() : mirror.write());
    PN_CHECK(truncate_target(changes));
    PN_TRY(auto counts, engine::count_winners(changes, mirror.soft, mirror.values.lost));
    PN_CHECK(mirror.values.drop());
    PN_CHECK(changes.load.run(fmt::format("DROP TABLE {}", winners)));
    return counts;
}

}  // namespace penstock::duckdb
