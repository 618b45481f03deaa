// Append, with rows of an earlier commit recognised. A source re-reads from its cursor bound on, so a row may come again: what
// is staged is compared with what the target has from the lowest staged cursor on, as multisets, so that rows that are
// rightly there twice stay so. Rows newer than anything in the target cannot be there and are not compared. The sign of a zero
// does not tell rows apart here: DuckDB's storage may have lost it, and a row must not be added again for that.
#include <fmt/format.h>

#include "base/failpoint.h"
#include "connect/duckdb/load.h"
#include "connect/duckdb/staging.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using engine::quote_list;

/// Columns to compare by: those that rows in the target had a value of before this load.
std::vector<engine::ComparedColumn> compared_columns(const Load& load) {
    std::vector<engine::ComparedColumn> out;
    for (const auto& column : load.shape.columns)
        if (!column.fresh) out.push_back({.name = column.name, .type = column.type});
    return out;
}

/// Takes what the target has already out of what is staged, before anything is inserted: DuckDB lets one branch of a statement see
/// what another has just inserted into the table that both speak of.
Status leave_out_known(Load& load, Staging& staging, const std::string& cursor) {
    auto table = load.into.quoted(), compared = engine::value_list_but_for_zero_sign(compared_columns(load));
    // How often the same row stands in a table so far: its first, second, … occurrence.
    auto numbered = [&](const std::string& from, const std::string& where) {
        return fmt::format(
            "(SELECT rowid AS penstock_row, *, row_number() OVER (PARTITION BY {}) AS penstock_occurrence FROM {}{})",
            compared, from, where);
    };
    std::string again =
        fmt::format(" WHERE ({0} >= (SELECT min({0}) FROM {1}) OR {0} IS NULL)", cursor, staging.table());
    std::string maybe_there = fmt::format(
        " WHERE ({0} IS NULL OR coalesce({0} <= (SELECT max({0}) FROM {1}{2}), false))", cursor, table, again);
    auto same = compared_columns(load);
    same.push_back({.name = "penstock_occurrence", .type = data::scalar(data::Kind::int64)});
    return staging.filter(
        fmt::format("DELETE FROM {0} WHERE rowid IN (SELECT S.penstock_row FROM {1} S SEMI JOIN {2} T ON {3})",
                    staging.table(), numbered(staging.table(), maybe_there), numbered(table, again),
                    engine::same_but_for_zero_sign(same, "S", "T")));
}

/// The same by a column that tells rows apart.
Status leave_out_known_by(Load& load, Staging& staging, const std::string& column) {
    PN_CHECK(staging.filter(fmt::format(
        "DELETE FROM {0} WHERE rowid IN (SELECT penstock_row FROM (SELECT rowid AS penstock_row, row_number() OVER "
        "(PARTITION BY {1} ORDER BY rowid) AS penstock_occurrence FROM {0}) WHERE penstock_occurrence > 1)",
        staging.table(), column)));
    return staging.filter(fmt::format("DELETE FROM {0} AS S USING {1} AS T WHERE S.{2} = T.{2}", staging.table(),
                                      load.into.quoted(), column));
}

}  // namespace

Result<flow::Counts> append(Load& load) {
    const auto& known_by = load.target.known_by;
    if (known_by.empty() && (!load.rereads || load.into_empty)) return insert_all(load);
    PN_TRY(auto compared, load.shape.names_of({known_by.empty() ? load.target.info.cursor : known_by}));
    PN_TRY(auto staging, Staging::fill(load));
    auto column = quote_identifier(compared.front());
    PN_CHECK(known_by.empty() ? leave_out_known(load, staging, column) : leave_out_known_by(load, staging, column));
    auto columns = quote_list(load.column_names());
    PN_TRY(int64_t written, load.run(fmt::format("INSERT INTO {0} ({1}) SELECT {1} FROM {2}{3}", load.into.quoted(),
                                                 columns, staging.table(), load.order())));
    PN_CHECK(staging.drop());
    return flow::Counts{
        .rows_read = load.scan.rows(), .rows_written = written, .rows_filtered = load.scan.rows() - written};
}

}  // namespace penstock::duckdb
