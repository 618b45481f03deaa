#include "connect/duckdb/unsent.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::for_each_key;
using engine::quote_identifier;
namespace change = flow::change;

/// (identity, key…, target): the row of the target that each row was before this part.
constexpr const char* targets = "temp.main.penstock_targets";

/// The first key of a moved row is where the target has it, unless the target has seen some of its moves already: a part
/// that overlaps one that was applied.
Status find_targets(Changes& changes, const UnsentValues& values) {
    auto& load = changes.load;
    size_t keys = changes.key.size();
    std::string on_k = for_each_key(
        keys, " AND ", [&](size_t i) { return fmt::format("T.{} = N.k{}", quote_identifier(changes.key[i]), i); });
    std::string sql = fmt::format(
        "DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS SELECT CAST(NULL AS BIGINT) AS identity, {1}, max(T.rowid) "
        "AS target FROM {2} T SEMI JOIN {3} N ON {4} WHERE {5} GROUP BY {6}",
        targets, values.numbered_keys("T."), load.into.quoted(), UnsentValues::sources, on_k, changes.alive("T."),
        changes.keys("T."));
    if (changes.moved > 0) {
        std::string seen = for_each_key(keys, ", ", [&](size_t i) {
            return fmt::format("arg_max(S.{}, S.{}) AS k{}", quote_identifier(changes.key[i]), change::position, i);
        });
        std::string place =
            for_each_key(keys, ", ", [](size_t i) { return fmt::format("coalesce(B.k{0}, O.k{0}) AS k{0}", i); });
        sql += fmt::format(
            " UNION ALL SELECT N.identity, {0}, max(T.rowid) FROM (SELECT O.identity, {1} FROM (SELECT {2} AS "
            "identity, "
            "{3} FROM {4} WHERE {2} IS NOT NULL GROUP BY {2}) O LEFT JOIN (SELECT S.{2} AS identity, {5} FROM {4} S "
            "JOIN "
            "{6} T ON {7} AND T.{8} >= S.{8} WHERE S.{2} IS NOT NULL AND S.{9} <> 'd' AND {10} GROUP BY S.{2}) B ON "
            "B.identity = O.identity) N JOIN {6} T ON {11} WHERE {10} GROUP BY N.identity",
            values.no_keys(), place, change::identity, values.origins(), staged_changes, seen, load.into.quoted(),
            changes.on_key("T", "S"), change::position, change::op, changes.alive("T."), on_k);
    }
    PN_CHECK(load.run(sql));
    return {};
}

}  // namespace

Result<UnsentValues> find_unsent(Changes& changes, const std::string& wanted) {
    PN_TRY(auto values, UnsentValues::find(changes, wanted));
    if (!values.any()) return values;
    PN_CHECK(find_targets(changes, values));
    auto theirs = [](const engine::ChangedColumn& column) { return "T." + quote_identifier(column.name); };
    PN_CHECK(values.complete({.joins = fmt::format(" LEFT JOIN {} G ON {} LEFT JOIN {} T ON T.rowid = G.target",
                                                   targets, values.same_row("R", "G"), changes.load.into.quoted()),
                              .found = "G.target IS NOT NULL",
                              .value = theirs}));
    PN_CHECK(changes.load.run(fmt::format("DROP TABLE {}", targets)));
    return values;
}

}  // namespace penstock::duckdb
