#include "connect/duckdb/source_options.h"

#include "config/query_file.h"

namespace penstock::duckdb {

const config::Spec<SourceOptions>& source_spec() {
    using S = SourceOptions;
    static const auto made =
        config::Spec<S>(
            "duckdb source",
            "Reads tables, views or a query of a DuckDB file, all as they were at one moment. The file may be that "
            "of the target: then this is a model, made inside the warehouse.")
            .include(config::source_spec())
            .field("table", &S::table, "One table or view, as schema.table, or table of schema main.",
                   {.example = "shop.orders"})
            .field(
                "tables", &S::tables,
                "Several, by name or pattern (`*` and `?`), each loaded and committed on its own. Views are read only "
                "when named; Penstock's own schema and staging tables never are.",
                {.example = "[\"shop.*\"]"})
            .field("exclude", &S::exclude, "Patterns taken out of `tables`.", {.example = "[\"shop.audit_*\"]"})
            .field("query", &S::query,
                   "A SELECT whose result is read as if it were a table, or the path of a file (*.sql) that holds it.",
                   {.example = "models/fct_orders.sql"})
            .field("where", &S::where, "A condition in DuckDB's SQL; rows that fail it are not read.",
                   {.example = "NOT is_test"})
            .field(
                "cursor", &S::cursor,
                "The column that grows with each insert and update: a whole number, decimal, date or timestamp. Rows "
                "with the largest value of the last run, and rows without value, are read again.",
                {.example = "updated_at"})
            .field("cursor_lag", &S::cursor_lag,
                   "Reads this much below the last value again: a duration for times, a number for numbers. For rows "
                   "that are written late, below a value that was already seen.",
                   {.example = "5m"})
            .one_of({"table", "tables", "query"})
            .requires_other("exclude", "tables")
            .requires_other("cursor_lag", "cursor");
    return made;
}

Result<SourceOptions> parse_source(const config::Node& node) {
    PN_TRY(auto options, source_spec().parse(node));
    PN_CHECK(config::read_query_file(options.query));
    return options;
}

}  // namespace penstock::duckdb
