#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/error.h"

namespace penstock::postgres {

struct SpillOptions {
    std::string directory;     ///< must exist
    uint64_t limit_bytes = 0;  ///< what the file may take of the disk
    /// The settings' names, for hints.
    std::string directory_setting = "spill_directory";
    std::string limit_setting = "spill_limit";
};

/// Bytes put aside on disk in one file that has no name: it is gone with the process, however that ends. Space that was
/// freed goes back to the disk at once, and is used first when more is put aside.
/// One thread at a time, but for `read` and `expect`: any thread, any time, for extents that are held meanwhile.
class SpillFile {
  public:
    /// Opens nothing: the file is made by the first write.
    explicit SpillFile(SpillOptions options);
    ~SpillFile();
    SpillFile(const SpillFile&) = delete;
    SpillFile& operator=(const SpillFile&) = delete;

    /// A part of the file. Its length is what it takes of the disk: a multiple of 4 KiB, never 0.
    struct Extent {
        uint64_t offset = 0;
        uint64_t length = 0;
    };

    /// Fails with `capacity` beyond the limit or when the disk is full; then the file is as it was.
    Result<Extent> write(const char* bytes, size_t size);
    /// The first `size` bytes of an extent.
    Status read(Extent extent, char* bytes, size_t size) const;
    /// The extent will be read soon.
    void expect(Extent extent) const;
    void free(Extent extent);

    uint64_t held_bytes() const { return held_; }

  private:
    Status open();
    Result<Extent> allocate(size_t size);
    Error failure(const char* what, int number) const;

    SpillOptions options_;
    int descriptor_ = -1;
    uint64_t end_ = 0;
    uint64_t held_ = 0;
    std::map<uint64_t, uint64_t> holes_;  ///< offset and length of what is free below `end_`; no two touch
};

}  // namespace penstock::postgres
