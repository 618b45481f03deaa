#include "connect/duckdb/component.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "config/target_key.h"
#include "connect/duckdb/comparison.h"
#include "connect/duckdb/doctor.h"
#include "connect/duckdb/ledger.h"
#include "connect/duckdb/options.h"
#include "connect/duckdb/sink.h"
#include "connect/duckdb/source.h"
#include "engine/database.h"
#include "engine/types.h"

namespace penstock::duckdb {
namespace {

uint64_t memory_for_duckdb(uint64_t budget) {
    return std::max(engine::least_memory, budget > engine::outside_engine ? budget - engine::outside_engine : 0);
}

Result<SourceSettings> source_settings(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    SourceSettings out{.file = connection.path.value, .source = {}, .holds = context.holds};
    PN_TRY(out.source, parse_source(context.pipeline.source));
    // Where source and target are one file, they are one engine; else this is a second one beside the target's.
    const auto* target = context.pipeline.target.find("connection");
    bool shared = target != nullptr && target->text == context.connection_name;
    uint64_t memory = memory_for_duckdb(context.memory_bytes);
    out.engine = {.threads = context.parallel,
                  .memory_limit_bytes = shared ? memory : std::max(engine::least_memory, memory / 4),
                  .read_only = !shared};
    // Refused rows are named by the target's key, where it has one of its own.
    out.key = config::target_key(context.pipeline.target);
    out.bounds = context.bounds;
    return out;
}

Status validate_source(const flow::BuildContext& context) {
    PN_CHECK(source_settings(context));
    return {};
}

Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context) {
    PN_TRY(auto settings, source_settings(context));
    return std::make_unique<Source>(std::move(settings));
}

Status validate_target(const flow::BuildContext& context) {
    PN_CHECK(connection_spec().parse(context.connection));
    PN_CHECK(target_spec().parse(context.pipeline.target));
    return {};
}

Result<std::unique_ptr<flow::Sink>> build_sink(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    SinkSettings settings{.file = connection.path.value, .pipeline = context.pipeline.name};
    settings.engine = {.threads = context.parallel, .memory_limit_bytes = memory_for_duckdb(context.memory_bytes)};
    settings.rejects = flow::reject_view(context.pipeline);
    return std::make_unique<Sink>(std::move(settings));
}

Result<std::string> name_for(const flow::BuildContext& context, const flow::TableInfo& table) {
    PN_TRY(auto options, target_spec().parse(context.pipeline.target));
    return target_name(options, table.name);
}

Result<std::unique_ptr<flow::Ledger>> open_ledger(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    return std::make_unique<Ledger>(connection.path.value);
}

Result<std::unique_ptr<flow::ComparedTarget>> compare_target(const flow::BuildContext& context, std::stop_token stop) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    return compare(connection.path.value,
                   {.threads = context.parallel, .memory_limit_bytes = memory_for_duckdb(context.memory_bytes)},
                   std::move(stop));
}

/// As dbt's own events call it, for the conventions have no row for DuckDB.
Result<flow::Dataset> dataset_of(const flow::BuildContext& context, const std::string& table) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    std::error_code ignored;
    auto file = std::filesystem::weakly_canonical(std::filesystem::absolute(connection.path.value), ignored);
    auto schema = table.find('.') == table.npos ? "main." : "";
    return flow::Dataset{.space = "duckdb://" + file.string(),
                         .name = fmt::format("{}.{}{}", file.stem().string(), schema, table)};
}

Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo& table) {
    if (context.pipeline.source.find("query") != nullptr) return std::vector<flow::Dataset>();
    PN_TRY(auto dataset, dataset_of(context, table.name));
    return std::vector<flow::Dataset>{std::move(dataset)};
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "duckdb",
        .doc =
            "A DuckDB file: tables, views and queries, whole or by cursor; append, replace, merge and history, each "
            "commit one "
            "transaction with its checkpoint.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .target_spec = []() -> const config::SpecBase& { return target_spec(); },
        .validate_source = validate_source,
        .validate_target = validate_target,
        .build_source = build_source,
        .takes_bounds = true,
        .build_sink = build_sink,
        .target_name = name_for,
        .compare_target = compare_target,
        .open_ledger = open_ledger,
        .target_holds = {.infinite_dates = true, .end_of_day = true, .timetz = true, .interval = true},
        .keeps_streams = true,
        .answers_checks = true,
        .shows_rejects = true,
        .takes_changes = true,
        .target_type = [](const data::Field& field) { return engine::sql_type(field.type); },
        .doctor = doctor,
        .source_datasets = source_datasets,
        .target_dataset = dataset_of,
    };
    return made;
}

}  // namespace penstock::duckdb
