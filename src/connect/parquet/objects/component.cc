#include "connect/parquet/objects/component.h"

#include <fmt/format.h>

#include "config/spec.h"
#include "connect/parquet/objects/message_stream.h"
#include "connect/parquet/objects/source.h"
#include "connect/parquet/objects/source_options.h"
#include "connect/parquet/store.h"
#include "transform/events/source.h"

namespace penstock::parquet {
namespace {

Error at(const flow::BuildContext& context, std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = context.pipeline.source.place.text(),
            .hint = std::move(hint)};
}

bool has_mode(const flow::BuildContext& context, std::string_view wanted) {
    const auto* mode = context.pipeline.target.find("mode");
    return mode != nullptr && mode->text == wanted;
}

/// Whether rows of one key meet.
bool is_keyed(const flow::BuildContext& context) {
    if (has_mode(context, "merge") || has_mode(context, "history")) return true;
    return context.pipeline.target.find("mode") == nullptr && context.pipeline.target.find("key") != nullptr;
}

/// What `route` says, the source must not say again.
Status check_routed(const flow::BuildContext& context, const SourceOptions& source) {
    auto format = source.objects();
    if (format != ObjectFormat::ndjson && format != ObjectFormat::json)
        return fail(at(context, "format_not_routed", "`route` is for events in JSON, and these files hold rows",
                       "use format: ndjson or json, or leave `route` out and name the `table`"));
    for (const char* option : {"table", "schema", "cursor", "unknown_fields", "required"})
        if (context.pipeline.source.find(option) != nullptr)
            return fail(at(context, "option_without_effect", fmt::format("`{}` is said by each route", option),
                           "leave it out of the source"));
    return {};
}

Status check_rows(const flow::BuildContext& context, const SourceOptions& source) {
    auto format = source.objects();
    if (source.table.empty())
        return fail(at(context, "no_table", "the source does not say which table its files are",
                       "add table: shop.orders, or a `route` that says where events go"));
    bool needs_schema = format == ObjectFormat::ndjson || format == ObjectFormat::json ||
                        (format == ObjectFormat::csv && !source.has_header());
    if (needs_schema && source.schema.empty())
        return fail(at(context, "no_schema", "nothing says what columns the table has",
                       "add schema: ddl/orders.sql, a file with a CREATE TABLE statement"));
    if (context.pipeline.source.find("poll") != nullptr)
        return fail(at(context, "option_without_effect", "`poll` is for `run: follow`, which needs a `route`",
                       "leave it out, and give the pipeline a `schedule`"));
    if (!source.cursor.empty() && !is_keyed(context))
        return fail(at(context, "option_without_effect", "`cursor` is for rows with a key, in mode merge or history",
                       "leave it out: which objects are new is known without it"));
    return ObjectSource::check(source);
}

}  // namespace

bool is_event_source(const flow::BuildContext& context) { return context.pipeline.route.has_value(); }

Status validate_source(const flow::BuildContext& context) {
    PN_CHECK(connection_spec().parse(context.connection));
    PN_TRY(auto source, source_spec().parse(context.pipeline.source));
    return is_event_source(context) ? check_routed(context, source) : check_rows(context, source);
}

Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto source, source_spec().parse(context.pipeline.source));
    PN_TRY(auto store, open_store(connection));
    bool in_folder = !connection.in_bucket();
    if (is_event_source(context))
        return std::make_unique<events::EventSource>(
            events::EventOptions::of(context),
            std::make_unique<ObjectStream>(std::move(store), std::move(source), in_folder, context.follow));
    return std::make_unique<ObjectSource>(ObjectSourceSettings{.source = std::move(source),
                                                               .store = std::move(store),
                                                               .in_folder = in_folder,
                                                               .replaces = has_mode(context, "replace"),
                                                               .parallel = context.parallel,
                                                               .memory_bytes = context.memory_bytes});
}

}  // namespace penstock::parquet
