// Type 2 history. A version of a key is valid from `_penstock_valid_from` to `_penstock_valid_to`, NULL while it is the current
// one. A row that came opens a version when it differs from the one before it, be that the current version in the target or an
// older row of the same batch; versions of one key follow one another without gap or overlap.
//
// A version begins at the row's cursor if that is a time, else when the load began. A row that is not newer than the current
// version is either an old acquaintance (the same batch came again) and is left out, or, if it is the newest of its batch, the
// source's present truth with a cursor that did not advance: it begins when the load began.
//
// Rows are compared by their exact values: '1 month' is not '30 days', -0.0 is not 0.0. DuckDB's storage may lose the sign of
// a zero, though, where zeros of both stand together. A current version that reads the same as the one it followed shows that
// this happened to it: then a zero's other sign opens no further one, or each load would add another.
#include <fmt/format.h>

#include "base/clock.h"
#include "connect/duckdb/load.h"
#include "connect/duckdb/staging.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using engine::quote_list;

constexpr const char* versions = "temp.main.penstock_versions";

bool is_time(const data::Type& type) {
    return type.kind == data::Kind::timestamptz || type.kind == data::Kind::timestamp || type.kind == data::Kind::date;
}

struct History {
    Load& load;
    std::vector<std::string> key;
    std::string columns;  // all source columns, quoted
    std::string began;    // the load's own time as SQL
    std::string from;     // the row's time as SQL, from its own columns
    bool timed = false;   // the cursor is a time

    explicit History(Load& of) : load(of), columns(quote_list(of.column_names())) {
        began = fmt::format("TIMESTAMPTZ {}", engine::quote_literal(iso_time(now())));
        const auto* cursor = load.shape.find(load.target.info.cursor);
        timed = cursor != nullptr && is_time(cursor->type);
        from =
            timed ? fmt::format("coalesce(CAST({} AS TIMESTAMPTZ), {})", quote_identifier(cursor->name), began) : began;
    }

    std::string current() const {
        return fmt::format("(SELECT * FROM {} WHERE {} IS NULL)", load.into.quoted(), valid_to);
    }

    /// Whether row S is what the current version C says.
    std::string same_as_current() const {
        auto compared = load.columns();
        std::string same = engine::same_values(compared, "S", "C");
        std::string nearly = engine::same_but_for_zero_sign(compared, "S", "C");
        if (same == nearly) return same;
        std::string blurred = fmt::format(
            "EXISTS (SELECT 1 FROM (SELECT {} FROM {} A JOIN {} B ON {} AND A.{} = B.{} WHERE {}) X WHERE {})",
            quote_list(key, "A."), load.into.quoted(), current(), join_on(key, "A", "B"), valid_to, valid_from,
            engine::same_values(compared, "A", "B"), join_on(key, "X", "S"));
        return fmt::format("(({}) OR ({} AND {}))", same, nearly, blurred);
    }

    /// A row must follow one version: a table made by hand may have several current ones of a key.
    Status check_current(const Staging& staging) const {
        return refuse_repeated_keys(
            load, key,
            fmt::format("SELECT {0} FROM {1} T SEMI JOIN {2} S ON {3} GROUP BY {0} HAVING count(*) > 1",
                        quote_list(key), current(), staging.table(), join_on(key)),
            fmt::format("all of them current ({} is NULL): which one a change would follow is not certain", valid_to));
    }

    /// Orders the rows of each key, sets when each begins, and leaves out those that say nothing new.
    Status find_versions(const Staging& staging) {
        auto keys = quote_list(key);
        // `known`: the target has had this very version before, so the batch came again.
        std::string placed = fmt::format(
            "SELECT S.*, {0} AS penstock_at, row_number() OVER (PARTITION BY {1} ORDER BY {0} DESC) = 1 AS "
            "penstock_newest, "
            "EXISTS (SELECT 1 FROM {2} K WHERE {3} AND K.{4} = {0}) AS penstock_known FROM {5} S",
            from, quote_list(key, "S."), load.into.quoted(), engine::same_values(load.columns(), "K", "S"), valid_from,
            staging.table());
        std::string wanted = fmt::format(
            "SELECT S.*, C.{0} AS penstock_since, CASE WHEN C.{0} IS NULL OR S.penstock_at > C.{0} THEN S.penstock_at "
            "ELSE greatest({1}, C.{0} + INTERVAL 1 MICROSECOND) END AS penstock_from, "
            "C.{0} IS NOT NULL AND {2} AS penstock_same FROM ({3}) S LEFT JOIN {4} C ON {5} "
            "WHERE C.{0} IS NULL OR S.penstock_at > C.{0} OR (S.penstock_newest AND NOT S.penstock_known)",
            valid_from, began, same_as_current(), placed, current(), join_on(key, "C"));
        std::string chained = fmt::format(
            "SELECT *, coalesce({0} = lag({0}) OVER penstock_order, penstock_same) AS penstock_repeats FROM ({1}) "
            "WINDOW penstock_order AS (PARTITION BY {2} ORDER BY penstock_from)",
            fmt::format("row({})", engine::value_list(load.columns())), wanted, keys);
        PN_CHECK(load.run(fmt::format(
            "DROP TABLE IF EXISTS {0}; CREATE TEMP TABLE {0} AS SELECT {1}, penstock_from, lead(penstock_from) OVER "
            "(PARTITION BY {2} ORDER BY penstock_from) AS penstock_to FROM ({3}) WHERE NOT penstock_repeats",
            versions, columns, keys, chained)));
        return {};
    }

    Result<int64_t> write_versions() {
        PN_CHECK(
            load.run(fmt::format("UPDATE {0} AS T SET {1} = S.penstock_first FROM (SELECT {2}, min(penstock_from) AS "
                                 "penstock_first FROM {3} GROUP BY {2}) S "
                                 "WHERE {4} AND T.{1} IS NULL",
                                 load.into.quoted(), valid_to, quote_list(key), versions, join_on(key))));
        PN_TRY(
            int64_t written,
            load.run(fmt::format("INSERT INTO {} ({}, {}, {}) SELECT {}, penstock_from, penstock_to FROM {}{}",
                                 load.into.quoted(), columns, valid_from, valid_to, columns, versions, load.order())));
        PN_CHECK(load.run(fmt::format("DROP TABLE {}", versions)));
        return written;
    }
};

/// `update_when` as for a merge: a row that does not pass against the current version is left out.
Status leave_out_by_update_when(Load& load, Staging& staging, const std::vector<std::string>& key) {
    if (load.target.update_when.empty()) return {};
    return staging.filter(
        fmt::format("DELETE FROM {} AS S USING {} AS T WHERE {} AND T.{} IS NULL AND NOT coalesce(({}), false)",
                    staging.table(), load.into.quoted(), join_on(key), valid_to, load.target.update_when));
}

}  // namespace

Result<flow::Counts> history(Load& load) {
    History history(load);
    PN_TRY(history.key, load.shape.names_of(load.target.key));
    if (load.into_empty && load.key_is_certain())
        return insert_all(load, fmt::format("{}, {}", valid_from, valid_to), history.from + ", NULL");
    PN_TRY(auto staging, Staging::fill(load));
    PN_CHECK(history.timed ? staging.make_versions_unique() : staging.make_keys_unique());
    PN_CHECK(staging.leave_out_outdated(fmt::format("T.{} IS NULL", valid_to)));
    PN_CHECK(leave_out_by_update_when(load, staging, history.key));
    PN_CHECK(history.check_current(staging));
    PN_CHECK(history.find_versions(staging));
    PN_TRY(int64_t written, history.write_versions());
    flow::Counts counts{.rows_read = load.scan.rows(),
                        .rows_written = written,
                        .rows_filtered = staging.filtered() + staging.rows() - written};
    PN_CHECK(staging.drop());
    return counts;
}

}  // namespace penstock::duckdb
