#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::archive {

/// A file without a name that several SpillBuffers share; it is made by the first write and goes with this.
class SpillFile {
  public:
    explicit SpillFile(std::string folder) : folder_(std::move(folder)) {}
    ~SpillFile();
    SpillFile(const SpillFile&) = delete;
    SpillFile& operator=(const SpillFile&) = delete;

    /// The offset at which the bytes begin.
    Result<uint64_t> append(std::string_view bytes);
    Status read(uint64_t offset, char* into, size_t size) const;
    /// Nothing in it is wanted any more.
    Status clear();

  private:
    Status open();
    std::string folder_;
    int file_ = -1;
    uint64_t end_ = 0;
};

/// Bytes that grow, in memory or partly in a SpillFile.
class SpillBuffer {
  public:
    void append(std::string_view bytes) { memory_ += bytes; }
    uint64_t size() const { return spilled_ + memory_.size(); }
    uint64_t in_memory() const { return memory_.capacity(); }

    /// What no spill() has moved.
    std::string_view tail() const { return memory_; }
    /// Moves what is in memory to the file.
    Status spill(SpillFile& file);
    /// All bytes in order, in pieces.
    Status each(const SpillFile& file, const std::function<Status(std::string_view)>& take) const;

  private:
    struct Extent {
        uint64_t offset;
        uint64_t size;
    };
    std::string memory_;
    std::vector<Extent> extents_;
    uint64_t spilled_ = 0;
};

}  // namespace penstock::archive
