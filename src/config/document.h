#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/api.h"
#include "config/backup.h"
#include "config/catalog.h"
#include "config/check.h"
#include "config/diagnostics.h"
#include "config/lineage.h"
#include "config/pipeline.h"
#include "config/reference.h"
#include "config/scheduling.h"

namespace penstock::config {

/// One entry of `connections`; `options` (with `type`) are parsed by the connection spec of that type.
struct Connection {
    std::string name;
    std::string type;
    Place place;  ///< of the name
    Node options;
};

/// The top level of the file as its spec binds it.
struct DocumentOptions {
    int64_t version = 1;
    Secret state{"sqlite:.penstock/state.db"};
    Api api;
    std::optional<Lineage> lineage;
    Node connections;
    Defaults defaults;
    std::map<std::string, int64_t> pools;
    Node pipelines;
    Node backups;
};

const Spec<DocumentOptions>& document_spec();

/// A whole, valid configuration. Every name in it refers to something in it; every component's options were found good.
struct Document {
    std::filesystem::path file;
    std::filesystem::path directory;        ///< what relative paths are relative to
    Secret state;                           ///< sqlite:path, mysql://… or postgres://…
    std::filesystem::path state_directory;  ///< what a relative path in `state` is relative to
    Api api;
    std::optional<Lineage> lineage;
    PipelineSettings defaults;
    std::map<std::string, int64_t> pools;                       ///< how many scheduled runs of a pool may go on at once
    std::vector<Connection> connections;                        ///< in the order of the file
    std::vector<PipelineConfig> pipelines;                      ///< in the order of the file
    std::map<std::string, Scheduling, std::less<>> scheduling;  ///< by pipeline
    std::vector<Backup> backups;                                ///< in the order of the file

    const Scheduling& scheduling_of(const PipelineConfig& pipeline) const;

    const Connection* connection(std::string_view name) const;
    const PipelineConfig* pipeline(std::string_view name) const;
    const Backup* backup(std::string_view name) const;
    /// The pipeline whose schedule this one runs by: itself, or one it comes after, however far away; null: it is not scheduled.
    const PipelineConfig* scheduled_by(const PipelineConfig& pipeline) const;
    /// The names of the pipelines in an order in which each comes after those it waits for, else as in the file.
    std::vector<std::string> run_order() const;
};

/// Reads and checks the file: YAML, references, every option of every component, names, cycles in `after`, pipelines that
/// write to one target. All problems in one error, each with its place.
Result<Document> load_document(const std::string& path, const Catalog& catalog,
                               const Surroundings& surroundings = Surroundings::of_process());
Result<Document> load_document_text(std::string_view text, const std::string& name, const Catalog& catalog,
                                    const Surroundings& surroundings = Surroundings::of_process());

/// The same from a loaded tree whose references were resolved; what is wrong goes to `diagnostics`.
Document read_document(const Node& root, const Catalog& catalog, Diagnostics& diagnostics);

/// The error of a command line that names a pipeline, connection or backup the file has not, with the nearest name.
Error no_such_pipeline(const Document& document, std::string_view name);
Error no_such_connection(const Document& document, std::string_view name);
Error no_such_backup(const Document& document, std::string_view name);

}  // namespace penstock::config
