#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/parquet/objects/scan.h"
#include "flow/source.h"

namespace penstock::parquet {

/// What a source of objects works from.
struct ObjectSourceSettings {
    SourceOptions source;
    std::shared_ptr<io::ObjectStore> store;
    bool in_folder = true;
    bool replaces = false;  ///< the target is given all objects each time, in one commit
    unsigned parallel = 1;
    uint64_t memory_bytes = 0;
};

/// Objects that were not read before, as rows of one table:
///
///     discover   what is there, and the table's columns: of `schema`, else of the newest object
///     open       what the target's checkpoint does not have
///     next       so many objects that a commit is worth it, in the order of their names; an object is never divided
class ObjectSource : public flow::Source {
  public:
    explicit ObjectSource(ObjectSourceSettings settings);

    /// Reads the schema, without the store.
    static Status check(const SourceOptions& source);

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t, const flow::Checkpoint&) override { return {}; }

  private:
    Result<std::optional<events::TableDefinition>> definition();

    ObjectSourceSettings settings_;
    Selection selection_;
    std::stop_token stop_;
    std::optional<engine::Database> database_;
    std::vector<io::ObjectInfo> listed_;
    std::unique_ptr<events::EventTable> table_;
    std::optional<flow::ScanContext> context_;
    std::optional<Taken> taken_;
    std::vector<io::ObjectInfo> waiting_;
    size_t next_ = 0;
    bool at_once_ = false;
};

}  // namespace penstock::parquet
