#include "connect/http_api/source_options.h"

#include <fmt/format.h>

#include "config/spec.h"

namespace penstock::http_api {
namespace {

std::string_view name_of(PagingBy by) {
    switch (by) {
        case PagingBy::none: return "none";
        case PagingBy::page: return "page";
        case PagingBy::offset: return "offset";
        case PagingBy::token: return "token";
        case PagingBy::link: return "link";
        case PagingBy::url: return "url";
        case PagingBy::record: return "record";
    }
    std::unreachable();
}

bool wants_param(PagingBy by) {
    return by == PagingBy::page || by == PagingBy::offset || by == PagingBy::token || by == PagingBy::record;
}
bool wants_next(PagingBy by) { return by == PagingBy::token || by == PagingBy::url || by == PagingBy::record; }
bool counts(PagingBy by) { return by == PagingBy::page || by == PagingBy::offset; }

Status check_paging(const PagingOptions& paging, const config::Node& node) {
    auto missing = [&](const char* option, const char* why, const char* hint) {
        return fail(config::problem(node, "missing_key",
                                    fmt::format("paging by {} needs `{}`: {}", name_of(paging.by), option, why), hint));
    };
    if (wants_param(paging.by) && paging.param.empty())
        return missing("param", "the parameter that says which page is wanted",
                       "write param: page, or as the API calls it");
    if (wants_next(paging.by) && paging.next.empty())
        return missing("next",
                       paging.by == PagingBy::record ? "the field of a record by which the next page is asked for"
                                                     : "the field of the answer that names the next page",
                       "write next: meta.next; a name with dots of its own is written as /@odata.nextLink");
    struct Rule {
        const char* option;
        bool given, fits;
    };
    for (const auto& rule : {Rule{"param", !paging.param.empty(), wants_param(paging.by)},
                             Rule{"next", !paging.next.empty(), wants_next(paging.by)},
                             Rule{"first", paging.first.has_value(), counts(paging.by)},
                             Rule{"short_page_ends", paging.short_page_ends, counts(paging.by)}}) {
        if (!rule.given || rule.fits) continue;
        return fail(config::problem(*node.find(rule.option), "option_without_effect",
                                    fmt::format("`{}` is not for paging by {}", rule.option, name_of(paging.by)),
                                    "leave it out"));
    }
    if (paging.short_page_ends && !paging.size)
        return missing("size", "which page is short is not known without it", "write size: 100 and its size_param");
    return {};
}

const config::Spec<PagingOptions>& paging_spec() {
    using P = PagingOptions;
    static const auto made =
        config::Spec<P>("paging", "How the API divides what it answers.")
            .choice("by", &P::by,
                    {{"none", PagingBy::none, "One answer holds all records."},
                     {"page", PagingBy::page, "Pages have numbers, which `param` names."},
                     {"offset", PagingBy::offset, "`param` says how many records to leave out."},
                     {"token", PagingBy::token, "`next` in an answer is a token, which `param` hands back."},
                     {"link", PagingBy::link, "The header Link with rel=\"next\" (RFC 8288) has the next page's URL."},
                     {"url", PagingBy::url, "`next` in an answer is the next page's URL."},
                     {"record", PagingBy::record,
                      "`next` is a field of records: the last one's value, in `param`, asks for those behind it."}},
                    "What says where the next page is. URLs must be of the connection's host.")
            .field("param", &P::param, "The parameter that says which page is wanted.", {.example = "page"})
            .field("first", &P::first, "The first page's number, or the first offset.",
                   {.example = "0", .default_note = "1 for pages, 0 for offsets"})
            .field("size", &P::size, "Records of a page, asked for by `size_param`.", {.example = "100", .least = 1})
            .field("size_param", &P::size_param, "The parameter for `size`.", {.example = "per_page"})
            .field("next", &P::next,
                   "Where the token or URL is in the answer: `a.b` is field b of a, and so is `/a/b`, for names with "
                   "dots.",
                   {.example = "meta.next_cursor"})
            .field("more", &P::more, "Where the answer says true while pages follow; false ends the reading.",
                   {.example = "has_more"})
            .field("total", &P::total,
                   "Where the answer says how many records there are. A run that comes to fewer, or that sees the "
                   "number shrink, begins anew: pages have moved while they were read.",
                   {.example = "meta.total"})
            .field("short_page_ends", &P::short_page_ends,
                   "A page with fewer than `size` records is the last one. Only for APIs that give as many as they are "
                   "asked for: one that gives at most 100 would end there.",
                   {.default_note = "false: an empty page is the end"})
            .field("end_status", &P::end_status, "A status that, behind the first page, is the end.",
                   {.example = "[404]"})
            .field("max_pages", &P::max_pages, "A run that comes to more ends with an error.", {.least = 1})
            .requires_other("size", "size_param")
            .requires_other("size_param", "size")
            .check(check_paging);
    return made;
}

Status check_source(const SourceOptions& options, const config::Node& node) {
    const auto& path = options.path.value;
    if (path.find("://") != path.npos || path.starts_with("//"))
        return fail(config::problem(*node.find("path"), "bad_path",
                                    "`path` is below the connection's `url`, and no URL",
                                    "write the host into `url` of the connection"));
    if (path.find_first_of("?#") != path.npos)
        return fail(config::problem(*node.find("path"), "bad_path", "`path` has a query",
                                    "write it as `params: {name: value}`"));
    return {};
}

config::RouteTo route_of(const SourceOptions& options) {
    config::RouteTo route;
    route.schema = options.schema;
    route.table = options.table;
    route.unknown_fields = options.unknown_fields;
    route.required = options.required;
    route.accepted_values = options.accepted_values;
    route.place = options.schema.place;
    return route;
}

}  // namespace

const config::Spec<SourceOptions>& source_spec() {
    using S = SourceOptions;
    static const auto made =
        config::Spec<S>("http source",
                        "Reads the records that an HTTP API answers as JSON, page after page, into the columns of a "
                        "CREATE TABLE file. With `cursor`, only what is new or changed since the last run.")
            .include(config::source_spec())
            .required("path", &S::path, "The path below the connection's `url`.", {.example = "/users"})
            .field("params", &S::params, "Parameters of the query. They may be shown; secret ones belong into `auth`.",
                   {.example = "{status: active}"})
            .field("records", &S::records,
                   "Where the list of records is in the answer: `a.b` is field b of a, and so is `/a/b`.",
                   {.example = "data.items", .default_note = "the answer is the list"})
            .field("records_may_be_missing", &S::records_may_be_missing,
                   "An answer without `records` has none, instead of being an error.")
            .required("schema", &S::schema,
                      "The columns: a file with a CREATE TABLE statement (.sql) as BigQuery has it. Names are those of "
                      "the records' fields.",
                      {.example = "ddl/users.sql"})
            .field("table", &S::table, "What the records are called, for targets without a `table` and in reports.",
                   {.example = "crm.users", .default_note = "the name in the schema"})
            .choice("unknown_fields", &S::unknown_fields,
                    {{"reject", config::UnknownFields::reject, "The record is rejected: nothing of it is lost."},
                     {"ignore", config::UnknownFields::ignore, "They are left out."},
                     {"keep", config::UnknownFields::keep, "They are kept as JSON in the column `unknown_fields`."}},
                    "What becomes of fields that the schema has no column for; inside structs a record is rejected.")
            .field("required", &S::required, "Columns a record must have a value for, besides those that are NOT NULL.",
                   {.example = "[id]"})
            .field("accepted_values", &S::accepted_values, "For columns of text, the values they may have.",
                   {.example = "{status: [active, closed]}"})
            .field("paging", &S::paging, paging_spec(), "How the API divides what it answers.",
                   {.example = "{by: page, param: page}"})
            .field("cursor", &S::cursor,
                   "The column that grows with each insert and update: INT64, NUMERIC, DATE, DATETIME or TIMESTAMP.",
                   {.example = "updated_at"})
            .field("cursor_param", &S::cursor_param,
                   "The parameter by which the API is asked for records from a cursor value on. That value's own "
                   "records may come again: targets know them.",
                   {.example = "updated_since"})
            .field("cursor_start", &S::cursor_start, "What `cursor_param` says in the first run.",
                   {.example = "2020-01-01T00:00:00Z", .default_note = "nothing: the parameter is left out"})
            .field("cursor_lag", &S::cursor_lag,
                   "Asks from this much below the last value on: a duration for times, a number for numbers. For "
                   "records that the API shows late.",
                   {.example = "5m"})
            .choice("cursor_format", &S::cursor_format,
                    {{"iso", CursorFormat::iso, "2026-11-21T13:14:15.678Z; dates and numbers as they are."},
                     {"date", CursorFormat::date, "2026-11-21, the day."},
                     {"seconds", CursorFormat::seconds, "Seconds since 1970."},
                     {"milliseconds", CursorFormat::milliseconds, "Milliseconds since 1970."}},
                    "How times are written into `cursor_param`; what a format cannot hold is rounded down.")
            .requires_other("cursor", "cursor_param")
            .requires_other("cursor_param", "cursor")
            .requires_other("cursor_lag", "cursor")
            .requires_other("cursor_start", "cursor_param")
            .check(check_source);
    return made;
}

Result<events::EventTable> table_of(const SourceOptions& options) {
    PN_TRY(auto table, events::EventTable::make_for_records(route_of(options)));
    // A project in front of it is of a warehouse, which is another.
    auto& name = table.info.name;
    auto last = name.rfind('.');
    auto before = last == name.npos || last == 0 ? name.npos : name.rfind('.', last - 1);
    if (options.table.empty() && before != name.npos) name = name.substr(before + 1);
    return table;
}

}  // namespace penstock::http_api
