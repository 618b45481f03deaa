// Of all changes of a key only the newest decides in a mirror, and each is a version in a history: both are found by one look
// at keys, positions and row ids. The rows themselves are read once, when they are written.
#include <fmt/format.h>

#include <algorithm>

#include "engine/changes/staged_changes.h"
#include "engine/sql.h"

namespace penstock::engine {
namespace change = flow::change;

Status find_winners(StagedChanges& changes, bool keeps_deleted) {
    bool soft = keeps_deleted;
    std::string among = fmt::format("{} <> 't'", change::op);
    if (changes.truncates > 0 && !soft) among += fmt::format(" AND {} > {}", change::position, changes.last_truncate);
    std::string content = soft ? "N.content" : fmt::format("CASE WHEN S.{} <> 'd' THEN S.rowid END", change::op);
    std::string newest = fmt::format(
        "SELECT {0}, {1} AS penstock_content, S.{2} AS penstock_position, S.{3} AS penstock_op FROM {4} S {5}JOIN "
        "(SELECT max(rowid) AS id{6} FROM {4} WHERE {7} GROUP BY {8}) N ON S.rowid = N.id",
        changes.keys("S."), content, change::position, change::op, staged_changes, soft ? "" : "SEMI ",
        soft ? fmt::format(", max(rowid) FILTER ({} <> 'd') AS content", change::op) : "", among, changes.keys());
    if (changes.truncates > 0 && soft) {
        newest = fmt::format(
            "SELECT W.* REPLACE (CASE WHEN W.penstock_op = 'd' THEN W.penstock_position ELSE coalesce(X.position, "
            "W.penstock_position) END AS penstock_position), W.penstock_op = 'd' OR X.position IS NOT NULL AS "
            "penstock_deleted FROM ({}) W ASOF LEFT JOIN {} X ON W.penstock_position < X.position",
            newest, changes.truncates_table());
    } else {
        newest = fmt::format("SELECT *, penstock_op = 'd' AS penstock_deleted FROM ({})", newest);
    }
    PN_CHECK(changes.run(fmt::format("DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS {1}", winners, newest)));
    return {};
}

Status leave_out_lost_winners(StagedChanges& changes, const std::string& lost) {
    PN_CHECK(changes.run(
        fmt::format("UPDATE {} SET penstock_content = NULL, penstock_deleted = true, penstock_op = CASE WHEN "
                    "penstock_op = 'd' THEN 'd' END "
                    "WHERE penstock_content IN (SELECT id FROM {})",
                    winners, lost)));
    return {};
}

std::string unsent_winners(bool keeps_deleted) {
    return fmt::format("SELECT S.rowid AS id FROM {} S JOIN {} W ON S.rowid = W.penstock_content WHERE S.{} <> ''{}",
                       staged_changes, winners, change::unchanged, keeps_deleted ? "" : " AND NOT W.penstock_deleted");
}

Result<flow::Counts> count_winners(StagedChanges& changes, bool keeps_deleted, int64_t lost) {
    PN_TRY(auto found, changes.part.connection.query(fmt::format(
                           "SELECT count(penstock_op), count(*) FILTER (penstock_op = 'd') FROM {}", winners)));
    int64_t truncates = keeps_deleted ? changes.truncates : std::min<int64_t>(changes.truncates, 1);
    flow::Counts counts{.rows_written = found.number(0, 0) + truncates, .rows_deleted = found.number(0, 1)};
    counts.rows_filtered = changes.rows - counts.rows_written - lost;
    return counts;
}

Status chain_events(StagedChanges& changes, const std::string& among) {
    std::string chained = fmt::format(
        "SELECT rowid AS penstock_id, {0}, {1} AS penstock_op, {2} AS penstock_position, {3} AS penstock_committed_at, "
        "lag({2}) OVER penstock_key IS NULL AS penstock_first, lead({1}) OVER penstock_key AS penstock_next_op, "
        "lead({2}) OVER "
        "penstock_key AS penstock_next_position, lead({3}) OVER penstock_key AS penstock_next_committed_at FROM {4} "
        "WHERE {1} "
        "<> 't' AND {5} WINDOW penstock_key AS (PARTITION BY {0} ORDER BY {2})",
        changes.keys(), change::op, change::position, change::committed_at, staged_changes, among);
    if (changes.truncates > 0) {
        chained = fmt::format(
            "SELECT E.* REPLACE (CASE WHEN {0} THEN 't' ELSE E.penstock_next_op END AS penstock_next_op, CASE WHEN {0} "
            "THEN "
            "X.position ELSE E.penstock_next_position END AS penstock_next_position, CASE WHEN {0} THEN X.committed_at "
            "ELSE "
            "E.penstock_next_committed_at END AS penstock_next_committed_at) FROM ({1}) E ASOF LEFT JOIN {2} X ON "
            "E.penstock_position < X.position",
            "(X.position IS NOT NULL AND (E.penstock_next_position IS NULL OR X.position < E.penstock_next_position))",
            chained, changes.truncates_table());
    }
    PN_CHECK(changes.run(fmt::format("DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS {1}", events, chained)));
    return {};
}

}  // namespace penstock::engine
