#include "connect/parquet/objects/source_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/spec.h"

namespace penstock::parquet {
namespace {

std::optional<ObjectFormat> format_of(std::string_view extension) {
    if (extension == "ndjson" || extension == "jsonl") return ObjectFormat::ndjson;
    if (extension == "json") return ObjectFormat::json;
    if (extension == "csv") return ObjectFormat::csv;
    if (extension == "parquet") return ObjectFormat::parquet;
    return std::nullopt;
}

Error at(const config::Node& node, std::string_view option, std::string code, std::string message, std::string hint) {
    const auto* found = node.find(option);
    return config::problem(found != nullptr ? *found : node, std::move(code), std::move(message), std::move(hint));
}

Status check_names(const SourceOptions& options, const config::Node& node) {
    for (const auto* text : {&options.files})
        if (auto glob = Glob::parse(text->value); !glob) return fail(std::move(glob.error()).at(text->place.text()));
    for (const auto& text : options.exclude)
        if (auto glob = Glob::parse(text.value); !glob) return fail(std::move(glob.error()).at(text.place.text()));
    if (options.format || format_of(Glob::parse(options.files.value)->extension())) return {};
    return fail(at(node, "files", "no_format",
                   fmt::format("\"{}\" does not tell what the files hold", options.files.value),
                   "add format: ndjson, json, csv or parquet"));
}

Status check_format(const SourceOptions& options, const config::Node& node) {
    auto format = options.objects();
    auto only_for = [&](const char* option, bool wanted, const char* formats) -> Status {
        if (wanted || node.find(option) == nullptr) return {};
        return fail(at(node, option, "option_without_effect", fmt::format("`{}` is for {} only", option, formats),
                       "leave it out"));
    };
    bool csv = format == ObjectFormat::csv, parquet = format == ObjectFormat::parquet;
    for (const char* option : {"delimiter", "header", "null_text"}) PN_CHECK(only_for(option, csv, "csv"));
    for (const char* option : {"schema", "unknown_fields", "required", "max_bytes"})
        PN_CHECK(only_for(option, !parquet, "json, ndjson and csv: Parquet says itself what it holds, and"));
    if (options.delimiter.value.size() != 1 || options.delimiter.value.find_first_of("\"\r\n") != std::string::npos)
        return fail(at(node, "delimiter", "bad_delimiter", "a delimiter is one ASCII character, and no quote",
                       "write delimiter: \";\" or \"\\t\""));
    return {};
}

Status check(const SourceOptions& options, const config::Node& node) {
    PN_CHECK(check_names(options, node));
    return check_format(options, node);
}

}  // namespace

ObjectFormat SourceOptions::objects() const {
    if (format) return *format;
    return format_of(Glob::parse(files.value)->extension()).value_or(ObjectFormat::ndjson);
}

config::RouteTo SourceOptions::route() const {
    config::RouteTo to;
    to.schema = schema;
    to.table = table;
    to.unknown_fields = unknown_fields;
    to.required = required;
    to.max_bytes = max_bytes;
    return to;
}

const config::Spec<SourceOptions>& source_spec() {
    using S = SourceOptions;
    using config::UnknownFields;
    static const auto made =
        config::Spec<S>(
            "files source",
            "Files of a folder, or objects of a bucket, that were not read before. What was read is committed "
            "with the rows, so that each object is loaded once, whatever is killed. .gz and .zst are unpacked.")
            .include(config::source_spec())
            .required(
                "files", &S::files,
                "Which, below the connection's `url`: `*` is any text and `?` one letter within a folder, `**` any "
                "text across folders. What begins with `.` or `_` is passed over.",
                {.example = "in/orders/*.ndjson"})
            .field("exclude", &S::exclude, "Patterns taken out of `files`.", {.example = "[\"in/orders/test_*\"]"})
            .choice("format", &S::format,
                    {{"ndjson", ObjectFormat::ndjson, "a JSON object a line"},
                     {"json", ObjectFormat::json, "a JSON array of objects, or objects one after the other"},
                     {"csv", ObjectFormat::csv, "RFC 4180"},
                     {"parquet", ObjectFormat::parquet, "Apache Parquet"}},
                    "What they hold.", {.default_note = "by the extension of `files`"})
            .field("table", &S::table, "The name of the table that they are. Not with `route`.",
                   {.example = "shop.orders"})
            .field("schema", &S::schema,
                   "The columns: a file with a CREATE TABLE statement (.sql) as BigQuery has it. Parquet needs none; "
                   "without one, each column of CSV is text, named by the header.",
                   {.example = "ddl/orders.sql"})
            .field("cursor", &S::cursor,
                   "For modes merge and history: the column by which the newest of several rows with one key is known, "
                   "where one commit brings them. Without it such rows are rejected.",
                   {.example = "updated_at"})
            .choice("unknown_fields", &S::unknown_fields,
                    {{"reject", UnknownFields::reject, "The row is rejected; of CSV the object."},
                     {"ignore", UnknownFields::ignore, "They are left out."},
                     {"keep", UnknownFields::keep, "They are kept as JSON in the column `unknown_fields`."}},
                    "What becomes of fields that the schema has no column for.")
            .field("required", &S::required, "Columns a row must have a value for, besides those that are NOT NULL.",
                   {.example = "[order_id]"})
            .field("max_bytes", &S::max_bytes,
                   "Rows of more bytes are rejected, and only so much of one is ever in memory.")
            .field("delimiter", &S::delimiter, "Of csv, what stands between fields.", {.example = "\";\""})
            .field("header", &S::header, "Of csv, whether the first line names the columns.", {.default_note = "true"})
            .field("null_text", &S::null_text,
                   "Of csv, what stands for NULL where it is not quoted. A quoted field is never NULL.",
                   {.example = "NULL", .default_note = "nothing between two delimiters"})
            .choice(
                "changed", &S::changed,
                {{"stop", WhenChanged::stop, "The run ends before it reads anything."},
                 {"warn", WhenChanged::warn, "A warning at each run; what was loaded stays, and no more is."},
                 {"load", WhenChanged::load, "All its rows are loaded again, beside those that are there, or by key."}},
                "What becomes of an object that was written again after it was taken.")
            .field("settle", &S::settle,
                   "Of folders: a file is taken once it was not written to for so long. The run waits for it, once.")
            .field("poll", &S::poll, "With `run: follow`, how often new objects are looked for.")
            .field("remember", &S::remember,
                   "How many objects the checkpoint knows by name, at 22 bytes each; see the how-to for those before.",
                   {.least = 100, .most = 1'000'000})
            .check(check);
    return made;
}

}  // namespace penstock::parquet
