#pragma once

#include <string>

#include "base/error.h"
#include "io/object_store.h"

namespace penstock::parquet {

/// An object as a file that can be read anywhere in it: a folder's own, else a copy without a name, which goes when the process does.
class LocalFile {
  public:
    static Result<LocalFile> of(io::ObjectStore& store, const io::ObjectInfo& object);
    LocalFile(LocalFile&& other) noexcept;
    LocalFile& operator=(LocalFile&&) = delete;
    ~LocalFile();

    /// For programs that ask for a path; as long as this lives.
    std::string path() const;

  private:
    explicit LocalFile(int file) : file_(file) {}
    int file_;
};

}  // namespace penstock::parquet
