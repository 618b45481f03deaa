#include "connect/parquet/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "connect/parquet/path_template.h"

namespace penstock::parquet {
namespace {

using Json = nlohmann::ordered_json;

int64_t micros(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint time_of(const Json& json) { return TimePoint(std::chrono::microseconds(json.get<int64_t>())); }

Json file_json(const DataFile& file) {
    Json ranges = Json::object();
    for (const auto& [column, range] : file.ranges) ranges[column] = {range.first, range.second};
    return {{"path", file.path},
            {"rows", file.rows},
            {"bytes", file.bytes},
            {"cursor_min", file.cursor_min},
            {"cursor_max", file.cursor_max},
            {"cursor_nulls", file.cursor_nulls},
            {"ranges", ranges}};
}

DataFile file_from(const Json& json) {
    DataFile file{.path = json.at("path"),
                  .rows = json.at("rows"),
                  .bytes = json.at("bytes"),
                  .cursor_min = json.at("cursor_min"),
                  .cursor_max = json.at("cursor_max"),
                  .cursor_nulls = json.at("cursor_nulls"),
                  .ranges = {}};
    for (const auto& [column, range] : json.at("ranges").items()) file.ranges[column] = {range.at(0), range.at(1)};
    return file;
}

Json checkpoint_json(const flow::Checkpoint& checkpoint) {
    return {{"cursor_from", checkpoint.cursor_from},
            {"cursor_to", checkpoint.cursor_to},
            {"position", checkpoint.position},
            {"read_at_micros", micros(checkpoint.read_at)},
            {"read_at", iso_time(checkpoint.read_at)}};
}

flow::Checkpoint checkpoint_from(const Json& json) {
    return {.cursor_from = json.at("cursor_from"),
            .cursor_to = json.at("cursor_to"),
            .position = json.at("position"),
            .read_at = time_of(json.at("read_at_micros"))};
}

Json counts_json(const flow::Counts& counts) {
    return {{"rows_read", counts.rows_read},         {"rows_written", counts.rows_written},
            {"rows_rejected", counts.rows_rejected}, {"rows_filtered", counts.rows_filtered},
            {"rows_deleted", counts.rows_deleted},   {"bytes_read", counts.bytes_read},
            {"bytes_written", counts.bytes_written}};
}

flow::Counts counts_from(const Json& json) {
    return {.rows_read = json.at("rows_read"),
            .rows_written = json.at("rows_written"),
            .rows_rejected = json.at("rows_rejected"),
            .rows_filtered = json.at("rows_filtered"),
            .rows_deleted = json.at("rows_deleted"),
            .bytes_read = json.at("bytes_read"),
            .bytes_written = json.at("bytes_written")};
}

Json decisions_json(const std::vector<flow::SchemaDecision>& decisions) {
    Json json = Json::array();
    for (const auto& decision : decisions)
        json.push_back({{"column", decision.column},
                        {"change", decision.change},
                        {"decision", decision.decision},
                        {"sql", decision.sql},
                        {"detail", decision.detail}});
    return json;
}

std::vector<flow::SchemaDecision> decisions_from(const Json& json) {
    std::vector<flow::SchemaDecision> decisions;
    for (const auto& decision : json)
        decisions.push_back({.column = decision.at("column"),
                             .change = decision.at("change"),
                             .decision = decision.at("decision"),
                             .sql = decision.at("sql"),
                             .detail = decision.at("detail")});
    return decisions;
}

/// Batch numbers in a table's folder, ascending. A folder that is not there has none.
std::vector<int64_t> batches_in(const Path& folder) {
    std::vector<int64_t> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        std::string name = entry.path().filename().string();
        int64_t batch = 0;
        auto end = std::from_chars(name.data(), name.data() + name.size(), batch);
        if (end.ec == std::errc{} && name == manifest_name(batch)) found.push_back(batch);
    }
    std::sort(found.begin(), found.end());
    return found;
}

Result<Manifest> read_manifest(const Path& file) {
    PN_TRY(std::string text, read_file(file));
    return manifest_from_json(text, file);
}

}  // namespace

std::string to_json(const Manifest& manifest) {
    Json files = Json::array();
    for (const auto& file : manifest.files) files.push_back(file_json(file));
    Json json = {{"format", 1},
                 {"batch", manifest.batch},
                 {"pipeline", manifest.pipeline},
                 {"run_id", manifest.run_id},
                 {"source", manifest.source},
                 {"target", manifest.target},
                 {"mode", manifest.mode},
                 {"replaces", manifest.replaces},
                 {"committed_at_micros", micros(manifest.committed_at)},
                 {"committed_at", iso_time(manifest.committed_at)},
                 {"checkpoint", checkpoint_json(manifest.checkpoint)},
                 {"counts", counts_json(manifest.counts)},
                 {"files", files},
                 {"partitions", manifest.partitions},
                 {"source_schema", Json::parse(data::to_json(manifest.source_schema))},
                 {"shape", Json::parse(data::to_json(manifest.shape))},
                 {"schema_version", manifest.schema_version},
                 {"decisions", decisions_json(manifest.decisions)}};
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Manifest> manifest_from_json(std::string_view text, const Path& file) {
    auto damaged = [&](std::string_view why) {
        return fail(
            {.kind = ErrorKind::refused,
             .code = "damaged_manifest",
             .message = fmt::format("{} cannot be read: {}", file.string(), why),
             .hint =
                 "it was changed or written by a newer version: restore it, or move the table's files and manifests "
                 "away and load it anew"});
    };
    try {
        Json json = Json::parse(text);
        if (json.at("format") != 1) return damaged("its format is unknown");
        Manifest manifest;
        manifest.batch = json.at("batch");
        manifest.pipeline = json.at("pipeline");
        manifest.run_id = json.at("run_id");
        manifest.source = json.at("source");
        manifest.target = json.at("target");
        manifest.mode = json.at("mode");
        manifest.replaces = json.at("replaces");
        manifest.committed_at = time_of(json.at("committed_at_micros"));
        manifest.checkpoint = checkpoint_from(json.at("checkpoint"));
        manifest.counts = counts_from(json.at("counts"));
        for (const auto& item : json.at("files")) manifest.files.push_back(file_from(item));
        manifest.partitions = json.at("partitions").get<std::vector<std::string>>();
        manifest.schema_version = json.at("schema_version");
        manifest.decisions = decisions_from(json.at("decisions"));
        PN_TRY(manifest.source_schema, data::schema_from_json(json.at("source_schema").dump()));
        PN_TRY(manifest.shape, data::schema_from_json(json.at("shape").dump()));
        return manifest;
    } catch (const nlohmann::json::exception& error) {
        return damaged(error.what());
    }
}

Path manifest_folder(const std::string& pipeline, const std::string& target) {
    return Path("_penstock/manifests") / encode_name(pipeline) / encode_name(target);
}

std::string manifest_name(int64_t batch) { return fmt::format("{:08}.json", batch); }

Result<std::optional<Manifest>> newest_manifest(const Path& root, const std::string& pipeline,
                                                const std::string& target) {
    Path folder = root / manifest_folder(pipeline, target);
    auto batches = batches_in(folder);
    if (batches.empty()) return std::nullopt;
    PN_TRY(auto manifest, read_manifest(folder / manifest_name(batches.back())));
    return manifest;
}

Result<std::vector<Manifest>> live_manifests(const Path& root, const std::string& pipeline, const std::string& target) {
    Path folder = root / manifest_folder(pipeline, target);
    auto batches = batches_in(folder);
    std::vector<Manifest> live;
    for (auto batch = batches.rbegin(); batch != batches.rend(); ++batch) {
        PN_TRY(auto manifest, read_manifest(folder / manifest_name(*batch)));
        live.push_back(std::move(manifest));
        if (live.back().replaces) break;
    }
    return live;
}

Result<std::set<std::string>> published_files(const Path& root, const std::string& pipeline,
                                              const std::string& target) {
    Path folder = root / manifest_folder(pipeline, target);
    std::set<std::string> files;
    for (int64_t batch : batches_in(folder)) {
        PN_TRY(auto manifest, read_manifest(folder / manifest_name(batch)));
        for (const auto& file : manifest.files) files.insert(file.path);
    }
    return files;
}

Result<std::vector<Manifest>> all_newest_manifests(const Path& root, const std::string& pipeline) {
    std::vector<Manifest> newest;
    std::error_code ignored;
    for (const auto& of_pipeline : std::filesystem::directory_iterator(root / "_penstock/manifests", ignored)) {
        if (!pipeline.empty() && of_pipeline.path().filename() != encode_name(pipeline)) continue;
        std::error_code also_ignored;
        for (const auto& of_table : std::filesystem::directory_iterator(of_pipeline.path(), also_ignored)) {
            auto batches = batches_in(of_table.path());
            if (batches.empty()) continue;
            PN_TRY(auto manifest, read_manifest(of_table.path() / manifest_name(batches.back())));
            newest.push_back(std::move(manifest));
        }
    }
    std::sort(newest.begin(), newest.end(), [](const Manifest& a, const Manifest& b) {
        return std::tie(a.pipeline, a.target) < std::tie(b.pipeline, b.target);
    });
    return newest;
}

}  // namespace penstock::parquet
