#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::parquet {

using Path = std::filesystem::path;

/// Steps on a file system. Every failure names the path, the cause and what to do about it. What must survive a power cut is
/// flushed by the sync functions; write_file does so by itself.

/// The Error for `errno` after failing to do `what` ("write", "rename" …) with a path.
Error storage_error(std::string_view what, const Path& path, int number);

bool is_there(const Path& path);
/// Makes the folder and those above it that are missing. Not flushed: see sync_up.
Status make_folder(const Path& folder);
/// Writes the file aside, flushes and renames it into place, so that it is there whole or not at all.
Status write_file(const Path& file, std::string_view content);
Result<std::string> read_file(const Path& file);

/// Flushes one file, or a folder's list of entries.
Status sync(const Path& path);
/// Flushes a folder, its files and the folders below.
Status sync_tree(const Path& folder);
/// Flushes these folders and those above them up to the one that holds `root`, each once.
Status sync_up(const std::vector<Path>& folders, const Path& root);

/// Renames within one file system; the folder above `to` is made if missing. Not flushed.
Status move_path(const Path& from, const Path& to);
/// Swaps two paths in one step, not flushed. False where the file system cannot do that, and nothing has happened.
Result<bool> exchange_paths(const Path& one, const Path& other);
/// Removes a folder with all below it, or a file; not being there is no error.
Status remove_tree(const Path& path);

/// The right to write for one pipeline, held through the kernel: a killed process holds nothing.
class FolderLock {
  public:
    FolderLock() = default;
    FolderLock(FolderLock&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
    FolderLock& operator=(FolderLock&& other) noexcept;
    ~FolderLock() { release(); }

    /// Conflict, with who holds it, when somebody else does.
    static Result<FolderLock> take(const Path& file);
    bool held() const { return descriptor_ >= 0; }
    void release() noexcept;

  private:
    int descriptor_ = -1;
};

}  // namespace penstock::parquet
