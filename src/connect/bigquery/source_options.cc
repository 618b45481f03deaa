#include "connect/bigquery/source_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/query_file.h"
#include "config/spec.h"

namespace penstock::bigquery {
namespace {

Status check_columns(const SourceOptions& options, const config::Node& node) {
    if (options.columns.empty() || options.cursor.empty()) return {};
    bool there = std::ranges::any_of(options.columns,
                                     [&](const auto& column) { return same_name(column.value, options.cursor.value); });
    if (there) return {};
    return fail(config::problem(*node.find("columns"), "cursor_not_read",
                                fmt::format("`columns` leaves out {}, which is the cursor", options.cursor.value),
                                "add it: the next run goes on from the largest value that was read"));
}

}  // namespace

const config::Spec<SourceOptions>& source_spec() {
    using S = SourceOptions;
    static const auto made =
        config::Spec<S>("bigquery source",
                        "Reads tables, views or a query, all as they were at one moment: by the Storage Read API in "
                        "parallel streams, or by queries and pages of REST. With `cursor`, only what is new or changed "
                        "since the last run.")
            .include(config::source_spec())
            .field("table", &S::table,
                   "One table or view, as dataset.table or, of another project, project.dataset.table. Jobs are always "
                   "run in, and billed to, the connection's project.",
                   {.example = "shop.orders"})
            .field("tables", &S::tables,
                   "Several, by name or pattern (`*` and `?`, not in the name of the dataset), each loaded and "
                   "committed on its own. Views are read only when named.",
                   {.example = "[\"shop.*\"]"})
            .field("exclude", &S::exclude, "Patterns taken out of `tables`.", {.example = "[\"shop.audit_*\"]"})
            .field("query", &S::query,
                   "A SELECT in GoogleSQL whose result is read as if it were a table, or the path of a file (*.sql) "
                   "that holds it. `@as_of` in it is the moment that the run reads: FOR SYSTEM_TIME AS OF @as_of.",
                   {.example = "SELECT id, total FROM shop.orders"})
            .field("where", &S::where, "A condition in GoogleSQL; rows that fail it are not read.",
                   {.example = "NOT is_test"})
            .field("columns", &S::columns, "Only these columns; others are not read and not billed.",
                   {.example = "[id, total]", .default_note = "all"})
            .field("cursor", &S::cursor,
                   "The column that grows with each insert and update: INT64, NUMERIC, DATE, DATETIME or TIMESTAMP. "
                   "Rows with the largest value of the last run, and rows without value, are read again.",
                   {.example = "updated_at"})
            .field("cursor_lag", &S::cursor_lag,
                   "Reads this much below the last value again: a duration for times, a number for numbers. For rows "
                   "that become visible late, below a value that was already seen.",
                   {.example = "5m"})
            .field("batch_rows", &S::batch_rows,
                   "Reads in the order of the cursor and commits about so many rows at a time, each batch with its "
                   "checkpoint; rows with one cursor value stay together. Needs a query, which is billed.",
                   {.example = "1000", .default_note = "one commit a table", .least = 1})
            .choice("read", &S::read,
                    {{"auto", ReadBy::automatic,
                      "By Storage Read; where that is denied, or the endpoint has none, as `rest`, and a warning says "
                      "so."},
                     {"storage", ReadBy::storage, "By the Storage Read API or not at all."},
                     {"rest", ReadBy::rest,
                      "By a query, which is billed, and pages of its result: slower, for small tables."}},
                    "How rows come.")
            .one_of({"table", "tables", "query"})
            .requires_other("exclude", "tables")
            .requires_other("cursor_lag", "cursor")
            .requires_other("batch_rows", "cursor")
            .check(check_columns);
    return made;
}

Result<SourceOptions> parse_source(const config::Node& node) {
    PN_TRY(auto options, source_spec().parse(node));
    PN_CHECK(config::read_query_file(options.query));
    return options;
}

std::optional<TableId> table_id(const std::string& project, std::string_view dotted) {
    // A project of an organization may have a colon and dots of its own: example.com:project.dataset.table.
    auto last = dotted.rfind('.');
    if (last == dotted.npos || last == 0) return std::nullopt;
    auto middle = dotted.rfind('.', last - 1);
    TableId id{.project = project,
               .dataset = std::string(dotted.substr(0, last)),
               .table = std::string(dotted.substr(last + 1))};
    if (middle != dotted.npos) {
        id.project = std::string(dotted.substr(0, middle));
        id.dataset = std::string(dotted.substr(middle + 1, last - middle - 1));
    }
    auto plain = [](const std::string& text) { return !text.empty() && text.find('`') == text.npos; };
    if (!plain(id.project) || !plain(id.dataset) || !plain(id.table)) return std::nullopt;
    return id;
}

}  // namespace penstock::bigquery
