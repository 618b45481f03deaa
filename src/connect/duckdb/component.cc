#include "connect/duckdb/component.h"

#include <algorithm>

#include "connect/duckdb/comparison.h"
#include "connect/duckdb/doctor.h"
#include "connect/duckdb/ledger.h"
#include "connect/duckdb/options.h"
#include "connect/duckdb/sink.h"
#include "engine/types.h"

namespace penstock::duckdb {
namespace {

/// Of the pipeline's budget, what the program itself needs: code, connections' receive buffers, blocks.
constexpr uint64_t outside_duckdb = uint64_t{160} << 20;
constexpr uint64_t least_memory = uint64_t{64} << 20;

uint64_t memory_for_duckdb(uint64_t budget) {
    return std::max(least_memory, budget > outside_duckdb ? budget - outside_duckdb : 0);
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

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "duckdb",
        .doc = "A DuckDB file: append, replace, merge and history, each commit one transaction with its checkpoint.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .target_spec = []() -> const config::SpecBase& { return target_spec(); },
        .validate_target = validate_target,
        .build_sink = build_sink,
        .target_name = name_for,
        .compare_target = compare_target,
        .open_ledger = open_ledger,
        .target_holds = {.infinite_dates = true, .end_of_day = true, .timetz = true, .interval = true},
        .keeps_streams = true,
        .answers_checks = true,
        .takes_changes = true,
        .target_type = [](const data::Field& field) { return engine::sql_type(field.type); },
        .doctor = doctor,
    };
    return made;
}

}  // namespace penstock::duckdb
