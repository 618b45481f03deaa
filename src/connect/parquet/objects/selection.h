#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include "connect/parquet/objects/source_options.h"
#include "connect/parquet/objects/taken.h"
#include "io/object_store.h"

namespace penstock::parquet {

/// The objects of a source, and which of them are to be read.
class Selection {
  public:
    /// `in_folder`: files can be seen while they are written.
    Selection(std::shared_ptr<io::ObjectStore> store, const SourceOptions& options, bool in_folder);

    /// What is there now, sorted by name. Files that are young are waited for, once; those still being written are left out.
    Result<std::vector<io::ObjectInfo>> list(std::stop_token stop);
    /// Those that `taken` does not have. Objects that were taken and are others now: an error, a warning or among them.
    Result<std::vector<io::ObjectInfo>> fresh(const std::vector<io::ObjectInfo>& listed, Taken& taken) const;
    /// That it is still the object that was listed: otherwise an error of kind `unavailable`.
    Status unchanged(const io::ObjectInfo& object) const;

    io::ObjectStore& store() const { return *store_; }

  private:
    Result<std::vector<io::ObjectInfo>> look() const;

    std::shared_ptr<io::ObjectStore> store_;
    Glob files_;
    std::vector<Glob> exclude_;
    WhenChanged changed_;
    std::chrono::microseconds settle_;
};

}  // namespace penstock::parquet
