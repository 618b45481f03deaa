#include "config/check.h"

#include <fmt/format.h>

#include "config/spec.h"

namespace penstock::config {
namespace {

Error empty_check(const Node& node, std::string_view what, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = "empty_check",
            .message = fmt::format("`{}` says nothing", what),
            .where = node.place.text(),
            .hint = std::move(hint)};
}

const Spec<CheckManner>& manner_spec() {
    using M = CheckManner;
    static const auto made =
        Spec<M>("manner", "How a check is judged, and what follows.")
            .field("name", &M::name, "What the check is called in results and messages.",
                   {.example = "emails_look_right", .default_note = "made from what it asks"})
            .field("mostly", &M::mostly, "The share of rows that is enough, of those with a value. For checks of rows.",
                   {.example = "0.95", .default_note = "1: all of them", .least = 0, .most = 1})
            .choice("on_fail", &M::on_fail,
                    {{"stop", OnFail::stop, "The run fails with exit code 3 and publishes nothing."},
                     {"reject", OnFail::reject, "The rows at fault become rejects, the others go on."},
                     {"warn", OnFail::warn, "It is said and recorded; all rows go on."}},
                    "What becomes of the run when the check fails.",
                    {.default_note = "stop; warn where the severity is less than critical"})
            .choice("severity", &M::severity,
                    {{"critical", Severity::critical, "The rows must not be used."},
                     {"warning", Severity::warning, "Somebody should look."},
                     {"info", Severity::info, "For the record."}},
                    "How much it matters, for those who read results.", {.default_note = "critical"})
            .choice("rows", &M::rows,
                    {{"batch", CheckedRows::batch, "Those that a run is about to write, before any of them is."},
                     {"table", CheckedRows::table, "All of the target's table, as the run will leave it."}},
                    "Whose rows are asked.", {.default_note = "batch; table for freshness and same_as"});
    return made;
}

const Spec<AcceptedValuesCheck>& accepted_values_spec() {
    using A = AcceptedValuesCheck;
    static const auto made = Spec<A>("accepted_values", "A column has no other values than these. NULL is let through.")
                                 .required("column", &A::column, "The column.", {.example = "event_type"})
                                 .required("values", &A::values, "The values.",
                                           {.example = "[session_start, purchase]", .noun = "list of values"})
                                 .include(manner_spec());
    return made;
}

const Spec<RegexCheck>& regex_spec() {
    using R = RegexCheck;
    static const auto made =
        Spec<R>("regex", "A pattern is found in each value of a column. NULL is let through.")
            .required("column", &R::column, "The column.", {.example = "email"})
            .required("pattern", &R::pattern,
                      "A regular expression as RE2 has it; `^` and `$` bind it to the value's ends.",
                      {.example = "'^[^@]+@[^@]+$'"})
            .include(manner_spec());
    return made;
}

const Spec<RangeCheck>& range_spec(bool length) {
    using R = RangeCheck;
    auto make = [](std::string name, std::string doc, std::string column, std::string least, std::string most) {
        return Spec<R>(name, std::move(doc))
            .required("column", &R::column, "The column.", {.example = std::move(column)})
            .field("min", &R::min, "The least that is allowed.", {.example = std::move(least), .noun = "value"})
            .field("max", &R::max, "The most that is allowed.", {.example = std::move(most), .noun = "value"})
            .include(manner_spec())
            .check([name](const R& range, const Node& node) -> Status {
                if (!range.min.is_null() || !range.max.is_null()) return {};
                return fail(empty_check(node, name, "give `min`, `max` or both"));
            });
    };
    static const auto between =
        make("between", "The values of a column are within bounds. NULL is let through.", "amount", "0", "10000");
    static const auto of_length =
        make("length", "The texts of a column have so many characters. NULL is let through.", "country", "2", "2");
    return length ? of_length : between;
}

const Spec<OtherTable>& other_table_spec() {
    using O = OtherTable;
    static const auto made =
        Spec<O>("same_as", "Another table, or a query of one number, on a connection that is read by SQL.")
            .field("connection", &O::connection, "Where it is.",
                   {.example = "shop", .default_note = "the target's connection"})
            .field("table", &O::table, "A table or view, whose rows are counted.", {.example = "public.events"})
            .field("where", &O::where, "SQL that its rows must fulfil to count.",
                   {.example = "\"event_type <> 'test'\""})
            .field("query", &O::query, "A query of one row with one number, in place of a table.",
                   {.example = "SELECT sum(orders) FROM daily_totals"})
            .one_of({"table", "query"})
            .check([](const O&, const Node& node) -> Status {
                if (node.find("where") == nullptr || node.find("query") == nullptr) return {};
                return fail(config::problem(*node.find("where"), "option_without_effect", "`where` is for a `table`",
                                            "write it into the query"));
            });
    return made;
}

const Spec<RowCountCheck>& row_count_spec() {
    using R = RowCountCheck;
    static const auto made =
        Spec<R>("row_count", "There are so many rows.")
            .field("min", &R::min, "As few as this.", {.example = "1", .least = 0})
            .field("max", &R::max, "As many as this.", {.example = "1000000", .least = 0})
            .field("last", &R::last,
                   "Compared with the median of so many runs before that ended well. Until there are so many, any "
                   "number will do.",
                   {.example = "7", .least = 1, .most = 100})
            .field("same_as", &R::same_as, other_table_spec(), "Compared with another table, or a query.")
            .field("within", &R::within,
                   "How far from what it is compared with: a share of it such as 50%, or a number of rows.",
                   {.example = "50%", .default_note = "0: as many exactly; `last` needs it"})
            .at_least_one_of({"min", "max", "last", "same_as"})
            .include(manner_spec());
    return made;
}

const Spec<FreshnessCheck>& freshness_spec() {
    using F = FreshnessCheck;
    static const auto made = Spec<F>("freshness", "The newest row is not older than this.")
                                 .required("column", &F::column, "A column with a time.", {.example = "updated_at"})
                                 .required("max_age", &F::max_age, "How old it may be.", {.example = "2h"})
                                 .include(manner_spec());
    return made;
}

}  // namespace

std::string_view to_string(OnFail on_fail) {
    switch (on_fail) {
        case OnFail::stop: return "stop";
        case OnFail::reject: return "reject";
        case OnFail::warn: return "warn";
    }
    std::unreachable();
}

std::string_view to_string(Severity severity) {
    switch (severity) {
        case Severity::critical: return "critical";
        case Severity::warning: return "warning";
        case Severity::info: return "info";
    }
    std::unreachable();
}

const Spec<Check>& check_spec() {
    using C = Check;
    static const auto made =
        Spec<C>("check", "What must hold for rows before they are published.")
            .field("not_null", &C::not_null, "Columns that have a value in each row; a check each.",
                   {.example = "[user_id, event_timestamp]"})
            .field("unique", &C::unique,
                   "Columns whose values together are in one row only. Rows with NULL in a single column, or in all of "
                   "several, "
                   "are let through.",
                   {.example = "[user_id, event_timestamp]"})
            .field("accepted_values", &C::accepted_values, accepted_values_spec(), "A column has no other values.")
            .field("regex", &C::regex, regex_spec(), "A pattern is found in each value.")
            .field("between", &C::between, range_spec(false), "Values are within bounds.")
            .field("length", &C::length, range_spec(true), "Texts have so many characters.")
            .field("row_count", &C::row_count, row_count_spec(), "There are so many rows.")
            .field("freshness", &C::freshness, freshness_spec(), "The newest row is not too old.")
            .field(
                "condition", &C::condition,
                "SQL that is true for each row. Rows for which it is NULL are let through, as by a CHECK constraint.",
                {.example = "\"amount >= 0 OR kind = 'refund'\""})
            .field("sql", &C::sql,
                   "A query that gives no row where all is well; `{batch}` stands for the rows. For what no condition "
                   "on one "
                   "row can say.",
                   {.example = "\"SELECT user_id FROM {batch} GROUP BY user_id HAVING count(*) > 100\""})
            .field("expect", &C::expect,
                   "An expectation of Great Expectations by its `type`, with its arguments beside it.",
                   {.example = "{type: expect_column_mean_to_be_between, column: age, min_value: 18, max_value: 65}",
                    .noun = "map"})
            .field("suite", &C::suite, "A file with a suite of Great Expectations 1.x, as JSON.",
                   {.example = "expectations/events.json"})
            .field("tables", &C::tables, "The source's tables that the check is for.",
                   {.example = "[public.customers]", .default_note = "all"})
            .include(manner_spec())
            .one_of({"not_null", "unique", "accepted_values", "regex", "between", "length", "row_count", "freshness",
                     "condition", "sql", "expect", "suite"})
            .check([](const C&, const Node& node) -> Status {
                for (auto kind : {"not_null", "unique", "condition", "sql", "expect", "suite"}) {
                    const Node* given = node.find(kind);
                    bool empty =
                        given != nullptr && (given->is_null() || (given->is_sequence() && given->items.empty()) ||
                                             (given->is_scalar() && given->text.empty()));
                    if (empty) return fail(empty_check(*given, kind, "say what it asks, or leave the check out"));
                }
                return {};
            });
    return made;
}

}  // namespace penstock::config
