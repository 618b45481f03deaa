#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::backup {

/// What the names of files begin with of which an incremental backup has some blocks only.
inline constexpr std::string_view incremental_prefix = "INCREMENTAL.";

/// The path that a file of an incremental backup has in the server: without the prefix of its name, where tables are.
std::string path_in_server(const std::string& path);

/// Brings a file of the backup before to the state of an incremental one, from PostgreSQL's own format (17 and later,
/// src/include/backup/basebackup_incremental.h; little endian): magic, number of blocks, length in blocks that the file shrank to,
/// numbers of the blocks, zeroes up to a block's length, the blocks.
class IncrementalFile {
  public:
    /// `size` is that of the incremental file. The server's file must be there.
    static Result<IncrementalFile> open(const std::filesystem::path& file, uint64_t size);
    IncrementalFile(IncrementalFile&& other) noexcept;
    IncrementalFile& operator=(IncrementalFile&&) = delete;
    ~IncrementalFile();

    Status add(std::string_view bytes);
    Status finish();

  private:
    explicit IncrementalFile(std::filesystem::path file, uint64_t size) : file_(std::move(file)), size_(size) {}
    Status read_header();
    /// Gives the file the length it has now; what was cut off in between is empty.
    Status resize(uint32_t shrunk_to);
    Status write_block();
    Error bad(std::string_view what) const;

    std::filesystem::path file_;
    uint64_t size_;
    int out_ = -1;
    std::string buffer_;
    bool has_header_ = false;
    std::vector<uint32_t> blocks_;
    size_t written_ = 0;  ///< of blocks_
};

}  // namespace penstock::backup
