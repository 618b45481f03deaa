#pragma once

#include <filesystem>

#include "base/error.h"

namespace penstock {

/// A folder of this process below TMPDIR, for what is to go with it. Held by a lock on a file in it, which ends with the process however
/// that ends: the next process that wants such a folder removes those that nobody holds. Movable; any thread.
class ScratchFolder {
  public:
    /// Errors: temporary_folder.
    static Result<ScratchFolder> make();

    ScratchFolder(ScratchFolder&& other) noexcept;
    ScratchFolder& operator=(ScratchFolder&& other) noexcept;
    ~ScratchFolder();

    const std::filesystem::path& path() const { return path_; }

  private:
    ScratchFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
    void remove() noexcept;

    std::filesystem::path path_;
    int lock_ = -1;
};

}  // namespace penstock
