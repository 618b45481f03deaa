#include "connect/bigquery/component.h"

#include <algorithm>

#include "config/spec.h"
#include "connect/bigquery/doctor.h"
#include "connect/bigquery/ledger.h"
#include "connect/bigquery/options.h"
#include "connect/bigquery/sink.h"

namespace penstock::bigquery {
namespace {

/// Of the pipeline's budget, what the program itself needs: code, connections' receive buffers, blocks.
constexpr uint64_t outside_engine = uint64_t{160} << 20;
constexpr uint64_t least_memory = uint64_t{64} << 20;

Status validate_target(const flow::BuildContext& context) {
    PN_CHECK(connection_spec().parse(context.connection));
    PN_CHECK(target_spec().parse(context.pipeline.target));
    return {};
}

Result<std::unique_ptr<flow::Sink>> build_sink(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    SinkSettings settings{.connection = std::move(connection),
                          .policies = context.pipeline,
                          .pipeline = context.pipeline.name,
                          .engine = {}};
    const auto& budget = context.pipeline.budget.max_bytes_billed;
    if (budget) settings.budget_bytes = static_cast<int64_t>(budget->count);
    uint64_t memory = context.memory_bytes > outside_engine ? context.memory_bytes - outside_engine : 0;
    settings.engine = {.threads = context.parallel, .memory_limit_bytes = std::max(least_memory, memory)};
    return std::make_unique<Sink>(std::move(settings));
}

Result<std::string> name_for(const flow::BuildContext& context, const flow::TableInfo& table) {
    PN_TRY(auto options, target_spec().parse(context.pipeline.target));
    return target_name(options, table.name);
}

std::chrono::microseconds commit_every(const config::Node& target) {
    auto options = target_spec().parse(target);
    return options ? options->commit_every : std::chrono::microseconds(0);  // its mistakes are reported elsewhere
}

Result<std::unique_ptr<flow::Ledger>> open_ledger(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto client, Client::make(connection, {}));
    return std::make_unique<Ledger>(std::move(client), context.pipeline.name);
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "bigquery",
        .doc =
            "Google BigQuery: append, replace, merge and history by load jobs, each commit one transaction with its "
            "checkpoint.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .target_spec = []() -> const config::SpecBase& { return target_spec(); },
        .validate_target = validate_target,
        .build_sink = build_sink,
        .target_name = name_for,
        .open_ledger = open_ledger,
        .target_holds = {.interval = true},
        .commit_every = commit_every,
        .takes_changes = true,
        .target_type = [](const data::Type& type) { return type_name(type); },
        .doctor = doctor,
    };
    return made;
}

}  // namespace penstock::bigquery
