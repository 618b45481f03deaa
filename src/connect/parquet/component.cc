#include "connect/parquet/component.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/humane.h"
#include "config/spec.h"
#include "connect/parquet/comparison.h"
#include "connect/parquet/ledger.h"
#include "connect/parquet/objects/component.h"
#include "connect/parquet/objects/source_options.h"
#include "connect/parquet/options.h"
#include "connect/parquet/path_template.h"
#include "connect/parquet/sink.h"
#include "connect/parquet/store.h"
#include "connect/parquet/targets.h"
#include "engine/database.h"
#include "engine/types.h"

namespace penstock::parquet {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

/// Of a stream of events, whose messages have a budget of their own.
constexpr uint64_t outside_for_events = uint64_t{64} << 20;
constexpr uint64_t little_room = uint64_t{1} << 30;

Status validate_target(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_CHECK(root_of(connection));
    PN_CHECK(target_spec().parse(context.pipeline.target));
    return {};
}

Result<std::unique_ptr<flow::Sink>> build_sink(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    PN_TRY(auto root, root_of(connection));
    bool events = context.pipeline.route.has_value();
    uint64_t outside = events ? outside_for_events : engine::outside_engine;
    uint64_t memory = context.memory_bytes > outside ? context.memory_bytes - outside : 0;
    return std::make_unique<Sink>(SinkOptions{.root = std::move(root),
                                              .pipeline = context.pipeline.name,
                                              .threads = context.parallel,
                                              .memory_bytes = std::max(engine::least_memory, memory),
                                              .write = target.write(),
                                              .events = events});
}

std::chrono::microseconds commit_every(const config::Node& target) {
    auto options = target_spec().parse(target);
    return options ? options->commit_every : std::chrono::microseconds(0);  // its mistakes are reported elsewhere
}

Result<std::string> name_for(const flow::BuildContext& context, const flow::TableInfo& table) {
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    return with_table(target.path.value, table.name);
}

Result<std::unique_ptr<flow::Ledger>> open_ledger(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto root, root_of(connection));
    return std::make_unique<Ledger>(std::move(root));
}

Result<std::unique_ptr<flow::ComparedTarget>> compare_target(const flow::BuildContext& context, std::stop_token stop) {
    if (context.pipeline.source.find("changes") != nullptr)
        return fail({.kind = ErrorKind::usage,
                     .code = "verify_not_available",
                     .message = fmt::format("{}: a log of changes is not compared with its table in this version",
                                            context.pipeline.name),
                     .where = context.pipeline.place.text(),
                     .hint = "verify takes captured tables in DuckDB and BigQuery"});
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto root, root_of(connection));
    uint64_t memory = context.memory_bytes > engine::outside_engine ? context.memory_bytes - engine::outside_engine : 0;
    auto spill = root / "_penstock/staging/verify";
    return compare(std::move(root), context.pipeline.name,
                   {.threads = context.parallel,
                    .memory_limit_bytes = std::max(engine::least_memory, memory),
                    .temp_directory = std::move(spill)},
                   std::move(stop));
}

Finding folder_finding(const Path& root) {
    if (auto good = check_root(root); !good)
        return {
            .severity = Severity::problem, .what = "folder", .detail = good.error().message, .fix = good.error().hint};
    if (!is_there(root))
        return {.what = "folder",
                .detail = fmt::format("{} does not exist yet; the first run creates it", root.string()),
                .fix = ""};
    return {.what = "folder", .detail = fmt::format("{} can be written", root.string()), .fix = ""};
}

Finding room_finding(const Path& root) {
    Path there = root;
    while (!is_there(there) && there != there.parent_path()) there = there.parent_path();
    std::error_code failed;
    auto space = std::filesystem::space(there, failed);
    if (failed)
        return {.severity = Severity::warning,
                .what = "disk",
                .detail = "free space is not known: " + failed.message(),
                .fix = ""};
    if (space.available < little_room)
        return {.severity = Severity::warning,
                .what = "disk",
                .detail = humane_bytes(space.available) + " free",
                .fix = "free some space: replace, merge and history need the size of the table once more"};
    return {.what = "disk", .detail = humane_bytes(space.available) + " free", .fix = ""};
}

Result<std::vector<Finding>> doctor(const config::Node& connection, const std::filesystem::path&, std::stop_token) {
    PN_TRY(auto options, connection_spec().parse(connection));
    if (options.in_bucket()) return examine_bucket(options);
    PN_TRY(auto root, root_of(options));
    return std::vector<Finding>{folder_finding(root), room_finding(root)};
}

Result<std::shared_ptr<io::ObjectStore>> open_archive(const config::Node& connection) {
    PN_TRY(auto options, connection_spec().parse(connection));
    return open_store(options);
}

/// "dt=…/part-*.json" has no name of its own: the folders above the first part that is a pattern have.
std::string fixed_folder(const std::string& pattern) {
    auto first = pattern.find_first_of("*?[{");
    if (first == pattern.npos) return pattern;
    auto slash = pattern.rfind('/', first);
    return slash == pattern.npos ? "" : pattern.substr(0, slash);
}

Result<flow::Dataset> dataset_at(const ConnectionOptions& connection, const std::string& path) {
    if (!connection.in_bucket()) {
        PN_TRY(auto root, root_of(connection));
        auto there = (root / path).lexically_normal().string();
        return flow::Dataset{.space = "file", .name = there.ends_with('/') ? there.substr(0, there.size() - 1) : there};
    }
    const auto& url = connection.url.value;  // gs://bucket/prefix
    auto slash = url.find('/', url.find("://") + 3);
    auto prefix = slash == url.npos ? "" : url.substr(slash + 1);
    if (!prefix.empty() && !prefix.ends_with('/')) prefix += '/';
    return flow::Dataset{.space = url.substr(0, slash), .name = prefix + path};
}

Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo&) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    const auto* files = context.pipeline.source.find("files");
    PN_TRY(auto dataset, dataset_at(connection, files == nullptr ? "" : fixed_folder(files->text)));
    return std::vector<flow::Dataset>{std::move(dataset)};
}

Result<flow::Dataset> target_dataset(const flow::BuildContext& context, const std::string& table) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    return dataset_at(connection, fixed_part(table));
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "files",
        .doc =
            "Parquet files in a folder: append, replace, merge and history, each run published at once with its "
            "checkpoint. Changes are kept as a log. Archives of event streams, also in buckets. As a source: NDJSON, "
            "JSON, "
            "CSV and Parquet, of a folder or a bucket, each object once.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .target_spec = []() -> const config::SpecBase& { return target_spec(); },
        .is_stream = is_event_source,
        .is_routed = is_event_source,
        .validate_source = validate_source,
        .validate_target = validate_target,
        .build_source = build_source,
        .build_sink = build_sink,
        .target_name = name_for,
        .compare_target = compare_target,
        .open_ledger = open_ledger,
        .target_holds = {},
        .commit_every = commit_every,
        .keeps_streams = true,
        .takes_changes = true,
        .logs_changes = true,
        .target_type = [](const data::Field& field) { return engine::sql_type(field.type); },
        .doctor = doctor,
        .open_store = open_archive,
        .source_datasets = source_datasets,
        .target_dataset = target_dataset,
    };
    return made;
}

}  // namespace penstock::parquet
