#include "connect/bigquery/component.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/spec.h"
#include "config/target_key.h"
#include "connect/bigquery/comparison.h"
#include "connect/bigquery/doctor.h"
#include "connect/bigquery/ledger.h"
#include "connect/bigquery/options.h"
#include "connect/bigquery/sink.h"
#include "connect/bigquery/source.h"
#include "connect/bigquery/storage_channel.h"
#include "engine/database.h"

namespace penstock::bigquery {
namespace {

Status validate_target(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    if (target.publish != Publish::storage_write || !storage_endpoint(connection).empty()) return {};
    return fail(config::problem(*context.pipeline.target.find("publish"), "no_storage_endpoint",
                                "the connection says where BigQuery is, and not where its Storage API is",
                                "add `storage_endpoint` to the connection, or use publish: load_job"));
}

Result<std::unique_ptr<flow::Sink>> build_sink(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    SinkSettings settings{.connection = std::move(connection),
                          .publish = target.publish,
                          .usd_per_gib_written = target.usd_per_gib_written,
                          .policies = context.pipeline,
                          .pipeline = context.pipeline.name,
                          .engine = {}};
    settings.purse = context.purse;
    settings.rejects = flow::reject_view(context.pipeline);
    uint64_t memory = context.memory_bytes > engine::outside_engine ? context.memory_bytes - engine::outside_engine : 0;
    settings.engine = {.threads = context.parallel, .memory_limit_bytes = std::max(engine::least_memory, memory)};
    return std::make_unique<Sink>(std::move(settings));
}

Result<SourceSettings> source_settings(const flow::BuildContext& context) {
    SourceSettings out;
    PN_TRY(out.connection, connection_spec().parse(context.connection));
    PN_TRY(out.source, parse_source(context.pipeline.source));
    out.policies = context.pipeline;
    out.holds = context.holds;
    out.pipeline = context.pipeline.name;
    out.run_id = context.run_id;
    out.parallel = context.parallel;
    out.bounds = context.bounds;
    out.as_of = context.as_of;
    out.purse = context.purse;
    // Refused rows are named by the target's key, where it has one of its own.
    out.key = config::target_key(context.pipeline.target);
    return out;
}

Status validate_source(const flow::BuildContext& context) {
    PN_TRY(auto settings, source_settings(context));
    const auto* mode = context.pipeline.target.find("mode");
    if (!settings.source.batch_rows || mode == nullptr || mode->text != "replace") return {};
    return fail(config::problem(*context.pipeline.source.find("batch_rows"), "option_without_effect",
                                "a table in mode replace is swapped in as a whole, not in batches",
                                "leave `batch_rows` out, or use mode: merge"));
}

Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context) {
    PN_TRY(auto settings, source_settings(context));
    return std::make_unique<Source>(std::move(settings));
}

Result<std::vector<flow::Finding>> examine_source(const flow::BuildContext& context, std::stop_token stop) {
    PN_TRY(auto settings, source_settings(context));
    return Source(std::move(settings)).examine(std::move(stop));
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

Result<std::unique_ptr<flow::ComparedTarget>> compare_target(const flow::BuildContext& context, std::stop_token stop) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto client, Client::make(connection, std::move(stop)));
    return compare(std::move(client), context.pipeline.name, context.purse);
}

Result<flow::Dataset> dataset_of(const flow::BuildContext& context, const std::string& table) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    auto id = table_id(connection.project.value, table);
    if (!id) return flow::Dataset{.space = "bigquery", .name = fmt::format("{}.{}", connection.project.value, table)};
    return flow::Dataset{.space = "bigquery", .name = fmt::format("{}.{}.{}", id->project, id->dataset, id->table)};
}

Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo& table) {
    if (context.pipeline.source.find("query") != nullptr) return std::vector<flow::Dataset>();
    PN_TRY(auto dataset, dataset_of(context, table.name));
    return std::vector<flow::Dataset>{std::move(dataset)};
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "bigquery",
        .doc =
            "Google BigQuery: tables, views and queries by Storage Read, whole or by cursor; append, replace, merge "
            "and history by load jobs, each commit one transaction with its checkpoint.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .target_spec = []() -> const config::SpecBase& { return target_spec(); },
        .validate_source = validate_source,
        .validate_target = validate_target,
        .build_source = build_source,
        .takes_bounds = true,
        .takes_as_of = true,
        .build_sink = build_sink,
        .target_name = name_for,
        .compare_target = compare_target,
        .open_ledger = open_ledger,
        .target_holds = {.interval = true},
        .commit_every = commit_every,
        .keeps_streams = true,
        .answers_checks = true,
        .shows_rejects = true,
        .takes_changes = true,
        .target_type = [](const data::Field& field) { return type_name(field); },
        .doctor = doctor,
        .examine_source = examine_source,
        .source_datasets = source_datasets,
        .target_dataset = dataset_of,
    };
    return made;
}

}  // namespace penstock::bigquery
