#include "backup/incremental_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "io/file_error.h"

namespace penstock::backup {
namespace {

constexpr uint32_t incremental_magic = 0xd3ae1f0d;
constexpr size_t block_bytes = 8192;
constexpr size_t fixed_bytes = 12;          ///< of the header
constexpr uint32_t most_blocks = 1U << 17;  ///< of a file of 1 GiB, in which PostgreSQL divides tables

uint32_t number_at(std::string_view bytes, size_t offset) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

}  // namespace

std::string path_in_server(const std::string& path) {
    constexpr std::string_view tables[] = {"base/", "global/", "pg_tblspc/", "PG_"};  // the last within a tablespace
    if (std::ranges::none_of(tables, [&](std::string_view folder) { return path.starts_with(folder); })) return path;
    auto name = path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1;
    if (!std::string_view(path).substr(name).starts_with(incremental_prefix)) return path;
    return path.substr(0, name) + path.substr(name + incremental_prefix.size());
}

Error IncrementalFile::bad(std::string_view what) const {
    return {.kind = ErrorKind::check_failed,
            .code = "bad_incremental",
            .message = fmt::format("the incremental part of {} {}", file_.string(), what),
            .where = file_.string(),
            .hint = "restore an older backup, and take a full one; report it with the server's version"};
}

Result<IncrementalFile> IncrementalFile::open(const std::filesystem::path& file, uint64_t size) {
    IncrementalFile made(file, size);
    made.out_ = ::open(file.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (made.out_ < 0 && errno == ENOENT) return fail(made.bad("is of a file that the backup before it has not"));
    if (made.out_ < 0) return fail(io::file_error("write", file, errno));
    return made;
}

IncrementalFile::IncrementalFile(IncrementalFile&& other) noexcept
    : file_(std::move(other.file_)), size_(other.size_), out_(std::exchange(other.out_, -1)) {}

IncrementalFile::~IncrementalFile() {
    if (out_ >= 0) ::close(out_);
}

Status IncrementalFile::read_header() {
    if (buffer_.size() < fixed_bytes) return {};
    if (number_at(buffer_, 0) != incremental_magic) return fail(bad("is none that PostgreSQL wrote"));
    uint64_t count = number_at(buffer_, 4);
    if (count > most_blocks) return fail(bad(fmt::format("has {} blocks", count)));
    uint64_t header = fixed_bytes + count * sizeof(uint32_t);
    if (count != 0) header = (header + block_bytes - 1) / block_bytes * block_bytes;
    if (size_ != header + count * block_bytes)
        return fail(bad(fmt::format("has {} bytes for {} blocks of {} bytes", size_, count, block_bytes)));
    if (buffer_.size() < header) return {};
    for (size_t i = 0; i < count; ++i) blocks_.push_back(number_at(buffer_, fixed_bytes + i * sizeof(uint32_t)));
    if (std::ranges::any_of(blocks_, [](uint32_t block) { return block >= most_blocks; }))
        return fail(bad("has blocks behind the end of any file"));
    PN_CHECK(resize(number_at(buffer_, 8)));
    buffer_.erase(0, header);
    has_header_ = true;
    return {};
}

Status IncrementalFile::resize(uint32_t shrunk_to) {
    struct stat found{};
    if (::fstat(out_, &found) != 0) return fail(io::file_error("look at", file_, errno));
    uint64_t blocks = std::min<uint64_t>(shrunk_to, most_blocks);
    uint64_t kept = std::min<uint64_t>(static_cast<uint64_t>(found.st_size), blocks * block_bytes);
    for (uint32_t block : blocks_) blocks = std::max<uint64_t>(blocks, block + uint64_t{1});
    if (::ftruncate(out_, static_cast<off_t>(kept)) != 0 ||
        ::ftruncate(out_, static_cast<off_t>(blocks * block_bytes)) != 0)
        return fail(io::file_error("set the length of", file_, errno));
    return {};
}

Status IncrementalFile::write_block() {
    auto at = static_cast<off_t>(uint64_t{blocks_[written_]} * block_bytes);
    for (size_t done = 0; done < block_bytes;) {
        ssize_t count = ::pwrite(out_, buffer_.data() + done, block_bytes - done, at + static_cast<off_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(io::file_error("write", file_, errno));
        done += static_cast<size_t>(count);
    }
    buffer_.erase(0, block_bytes);
    ++written_;
    return {};
}

Status IncrementalFile::add(std::string_view bytes) {
    while (!bytes.empty()) {
        size_t taken = std::min(bytes.size(), has_header_ ? block_bytes - buffer_.size() : block_bytes);
        if (taken == 0) return fail(bad("has more than it says"));
        buffer_ += bytes.substr(0, taken);
        bytes.remove_prefix(taken);
        if (!has_header_) PN_CHECK(read_header());
        while (has_header_ && written_ < blocks_.size() && buffer_.size() >= block_bytes) PN_CHECK(write_block());
    }
    return {};
}

Status IncrementalFile::finish() {
    if (!has_header_ || written_ != blocks_.size() || !buffer_.empty()) return fail(bad("ends too early"));
    int out = std::exchange(out_, -1);
    if (::close(out) != 0) return fail(io::file_error("write", file_, errno));
    return {};
}

}  // namespace penstock::backup
