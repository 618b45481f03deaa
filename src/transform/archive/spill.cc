#include "transform/archive/spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "io/file_error.h"

namespace penstock::archive {
namespace {

constexpr size_t piece_bytes = size_t{256} << 10;

}  // namespace

SpillFile::~SpillFile() {
    if (file_ >= 0) ::close(file_);
}

Status SpillFile::open() {
    if (file_ >= 0) return {};
    std::error_code failed;
    if (folder_.empty()) folder_ = std::filesystem::temp_directory_path(failed).string();
    if (folder_.empty()) folder_ = "/tmp";
    file_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file_ >= 0) return {};
    std::string name = folder_ + "/penstock-archive-XXXXXX";
    file_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (file_ < 0) return fail(io::file_error("make a temporary file in", folder_, errno));
    ::unlink(name.c_str());
    return {};
}

Result<uint64_t> SpillFile::append(std::string_view bytes) {
    PN_CHECK(open());
    uint64_t at = end_;
    while (!bytes.empty()) {
        ssize_t written = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(end_));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(io::file_error("write a temporary file in", folder_, errno));
        end_ += static_cast<uint64_t>(written);
        bytes.remove_prefix(static_cast<size_t>(written));
    }
    return at;
}

Status SpillFile::read(uint64_t offset, char* into, size_t size) const {
    while (size > 0) {
        ssize_t got = ::pread(file_, into, size, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return fail(io::file_error("read a temporary file in", folder_, got < 0 ? errno : EIO));
        into += got;
        offset += static_cast<uint64_t>(got);
        size -= static_cast<size_t>(got);
    }
    return {};
}

Status SpillFile::clear() {
    end_ = 0;
    if (file_ >= 0 && ::ftruncate(file_, 0) != 0)
        return fail(io::file_error("empty a temporary file in", folder_, errno));
    return {};
}

Status SpillBuffer::spill(SpillFile& file) {
    if (!memory_.empty()) {
        PN_TRY(uint64_t offset, file.append(memory_));
        extents_.push_back({offset, memory_.size()});
        spilled_ += memory_.size();
    }
    std::string().swap(memory_);
    return {};
}

Status SpillBuffer::each(const SpillFile& file, const std::function<Status(std::string_view)>& take) const {
    std::string piece;
    for (auto [offset, size] : extents_)
        for (uint64_t done = 0; done < size; done += piece.size()) {
            piece.resize(std::min<uint64_t>(piece_bytes, size - done));
            PN_CHECK(file.read(offset + done, piece.data(), piece.size()));
            PN_CHECK(take(piece));
        }
    for (std::string_view rest = memory_; !rest.empty();) {
        auto now = rest.substr(0, piece_bytes);
        PN_CHECK(take(now));
        rest.remove_prefix(now.size());
    }
    return {};
}

}  // namespace penstock::archive
