#include "connect/postgres/component.h"

#include <fmt/format.h>

#include "config/target_key.h"
#include "connect/postgres/capture/change_replay.h"
#include "connect/postgres/capture/change_source.h"
#include "connect/postgres/capture_doctor.h"
#include "connect/postgres/comparison.h"
#include "connect/postgres/dataset.h"
#include "connect/postgres/doctor.h"
#include "connect/postgres/replication/server_slots.h"
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
    out.key = config::target_key(context.pipeline.target);
    return out;
}

bool is_stream(const flow::BuildContext& context) { return context.pipeline.source.find("changes") != nullptr; }

std::string slot_of(const flow::BuildContext& context) {
    const auto* changes = context.pipeline.source.find("changes");
    const auto* slot = changes == nullptr ? nullptr : changes->find("slot");
    return slot == nullptr ? "" : slot->text;
}

Result<std::vector<flow::Finding>> examine_source(const flow::BuildContext& context, std::stop_token stop) {
    if (!is_stream(context)) return std::vector<flow::Finding>();
    PN_TRY(auto options, source_options(context));
    return examine_capture({.connection = std::move(options.connection),
                            .source = std::move(options.source),
                            .policies = options.policies,
                            .holds = options.holds,
                            .pipeline = context.pipeline.name},
                           std::move(stop));
}

Status validate_source(const flow::BuildContext& context) {
    PN_CHECK(source_options(context));
    return {};
}

ChangeSourceOptions change_options(const flow::BuildContext& context, TableSourceOptions options) {
    return {.connection = std::move(options.connection),
            .source = std::move(options.source),
            .policies = options.policies,
            .holds = options.holds,
            .light_commits = context.light_commits,
            .commit_every = context.commit_every,
            .pipeline = context.pipeline.name,
            .purpose = std::move(options.purpose),
            .parallel = options.parallel,
            .memory_bytes = context.memory_bytes,
            .follow = context.follow};
}

Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context) {
    PN_TRY(auto options, source_options(context));
    if (options.source.changes) return std::make_unique<ChangeSource>(change_options(context, std::move(options)));
    return std::make_unique<TableSource>(std::move(options));
}

Result<std::unique_ptr<flow::Source>> build_replay_source(const flow::BuildContext& context,
                                                          const std::vector<flow::RejectRecord>& rejects) {
    PN_TRY(auto options, source_options(context));
    if (options.source.changes)
        return std::make_unique<ChangeReplay>(change_options(context, std::move(options)), rejects);
    options.replay = rejects;
    return std::make_unique<TableSource>(std::move(options));
}

Result<std::unique_ptr<flow::ComparedSource>> compare_source(const flow::BuildContext& context, std::stop_token stop) {
    PN_TRY(auto options, source_options(context));
    return compare(std::move(options), std::move(stop));
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "postgres",
        .doc = "PostgreSQL 12 and later: tables, views and queries, whole or by cursor; changes of tables.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .is_stream = is_stream,
        .validate_source = validate_source,
        .build_source = build_source,
        .build_replay_source = build_replay_source,
        .takes_bounds = true,
        .compare_source = compare_source,
        .discover_all = discover_all,
        .doctor = doctor,
        .troubles = [](const flow::Checkpoint& stream) -> std::vector<std::string> {
            auto position = StreamPosition::from_json(stream.position);
            return position ? position->troubles() : std::vector<std::string>{position.error().message};
        },
        .examine_source = examine_source,
        .slot_of = slot_of,
        .open_slots = open_slots,
        .source_datasets = source_datasets,
    };
    return made;
}

}  // namespace penstock::postgres
