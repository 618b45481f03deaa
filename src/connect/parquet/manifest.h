#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "connect/parquet/storage.h"
#include "data/type.h"
#include "flow/accounting.h"
#include "flow/position.h"
#include "flow/sink.h"

namespace penstock::parquet {

/// A published Parquet file.
struct DataFile {
    std::string path;  ///< relative to the root
    int64_t rows = 0;
    int64_t bytes = 0;
    std::string cursor_min;  ///< smallest and largest cursor value as text, "" without cursor or when all are NULL
    std::string cursor_max;
    bool cursor_nulls = false;
    std::map<std::string, std::pair<std::string, std::string>>
        ranges;  ///< column to its smallest and largest value, where known
};

/// One committed batch of one table: what was published and how far the source had been read. The newest one is the
/// table's state; the file names are 00000001.json, 00000002.json … in the folder of the table.
struct Manifest {
    int64_t batch = 0;
    std::string pipeline;
    std::string run_id;
    std::string source;  ///< source table
    std::string target;  ///< target name: the path with its time parts open
    std::string mode;
    bool replaces = false;  ///< no file of an earlier batch is part of the table any more
    std::vector<DataFile> files;
    std::vector<std::string> partitions;  ///< names of the Hive folders' keys, outermost first
    flow::Checkpoint checkpoint;
    flow::Counts counts;
    data::Schema source_schema;  ///< as the source had it
    data::Schema shape;          ///< as the table has it: dropped columns included, partition columns too
    int64_t schema_version = 1;
    std::vector<flow::SchemaDecision> decisions;
    TimePoint committed_at{};
};

std::string to_json(const Manifest& manifest);
Result<Manifest> manifest_from_json(std::string_view json, const Path& file);

/// _penstock/manifests/<pipeline>/<target> relative to the root.
Path manifest_folder(const std::string& pipeline, const std::string& target);
/// The file of a batch in that folder.
std::string manifest_name(int64_t batch);

/// The newest batch, or nothing.
Result<std::optional<Manifest>> newest_manifest(const Path& root, const std::string& pipeline,
                                                const std::string& target);
/// The batches whose files make up the table, newest first.
Result<std::vector<Manifest>> live_manifests(const Path& root, const std::string& pipeline, const std::string& target);
/// Every file that a batch of the table has ever published, relative to the root.
Result<std::set<std::string>> published_files(const Path& root, const std::string& pipeline, const std::string& target);
/// Every table's newest batch, for one pipeline or ("") all.
Result<std::vector<Manifest>> all_newest_manifests(const Path& root, const std::string& pipeline);

}  // namespace penstock::parquet
