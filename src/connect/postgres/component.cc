#include "connect/postgres/component.h"

#include <fmt/format.h>

#include "connect/postgres/doctor.h"
#include "connect/postgres/table_source.h"

namespace penstock::postgres {
namespace {

Result<TableSourceOptions> source_options(const flow::BuildContext& context) {
    TableSourceOptions out;
    PN_TRY(out.connection, parse_connection(context.connection, context.connection_name));
    PN_TRY(out.source, parse_source(context.pipeline.source));
    if (context.pipeline.statement_timeout) out.connection.statement_timeout = context.pipeline.statement_timeout;
    if (context.pipeline.lock_timeout) out.connection.lock_timeout = context.pipeline.lock_timeout;
    out.policies = context.pipeline;
    out.holds = context.holds;
    out.parallel = context.parallel;
    out.bounds = context.bounds;
    out.purpose = fmt::format("penstock/{}", context.pipeline.name);
    // Refused rows are named by the target's key, where it has one of its own.
    if (const auto* key = context.pipeline.target.find("key")) {
        if (key->is_scalar()) out.key.push_back(key->text);
        for (const auto& item : key->items) out.key.push_back(item.text);
    }
    return out;
}

Status validate_source(const flow::BuildContext& context) {
    PN_CHECK(source_options(context));
    return {};
}

Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context) {
    PN_TRY(auto options, source_options(context));
    return std::make_unique<TableSource>(std::move(options));
}

Result<std::unique_ptr<flow::Source>> build_replay_source(const flow::BuildContext& context, const std::vector<flow::RejectRecord>& rejects) {
    PN_TRY(auto options, source_options(context));
    options.replay = rejects;
    return std::make_unique<TableSource>(std::move(options));
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "postgres",
        .doc = "PostgreSQL 12 and later: tables, views and queries, whole or by cursor.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .validate_source = validate_source,
        .build_source = build_source,
        .build_replay_source = build_replay_source,
        .takes_bounds = true,
        .discover_all = discover_all,
        .doctor = doctor,
    };
    return made;
}

}  // namespace penstock::postgres
