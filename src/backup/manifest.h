#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backup/tar.h"
#include "base/digest.h"
#include "base/error.h"

namespace penstock::backup {

/// A file as somebody has seen it.
struct FileState {
    uint64_t size = 0;
    std::string sha256;  ///< hexadecimal
    bool operator==(const FileState&) const = default;
};

/// What the server says that it has sent: backup_manifest (PostgreSQL documentation, "Backup Manifest Format"). Paths are
/// below the data folder.
struct Manifest {
    std::unordered_map<std::string, FileState> files;
};

/// Code `bad_manifest` where its own checksum is wrong, or a file has none by SHA-256.
Result<Manifest> read_manifest(std::string_view text);

/// A file found in an archive.
struct FoundFile {
    std::string path;  ///< below the data folder
    std::string archive;
    uint64_t offset = 0;  ///< in the archive
    FileState state;
};

/// Notes each file of an archive with its checksum, and hands all on to `next` where there is one.
class FileNotes : public TarTaker {
  public:
    /// `prefix` stands before the paths of the archive's members: "pg_tblspc/16400/".
    FileNotes(std::string archive, std::string prefix, std::vector<FoundFile>& into, TarTaker* next = nullptr)
        : archive_(std::move(archive)), prefix_(std::move(prefix)), into_(into), next_(next) {}

    Status begin(const TarEntry& entry) override;
    Status content(std::string_view bytes) override;
    Status end() override;

  private:
    std::string archive_;
    std::string prefix_;
    std::vector<FoundFile>& into_;
    TarTaker* next_;
    TarEntry entry_;
    std::unique_ptr<Sha256> digest_;
};

/// Where the members of an archive belong below the data folder: "" of "base", "pg_tblspc/16400/" of "16400".
std::string prefix_of(const std::string& archive);

struct FileFault {
    std::string path;
    std::string what;  ///< "is missing", "has another content than the server's manifest says"
};

/// Where what was found and what the server says differ; the log's own files are in no manifest. Sorted by path.
std::vector<FileFault> compare(const std::vector<FoundFile>& found, const Manifest& manifest);

}  // namespace penstock::backup
