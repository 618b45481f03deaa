#include "connect/postgres/capture/spill_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/humane.h"

namespace penstock::postgres {
namespace {

constexpr uint64_t page = 4096;  // what file systems give back no less of
constexpr int most_holes_tried = 64;

}  // namespace

SpillFile::SpillFile(SpillOptions options) : options_(std::move(options)) {}

SpillFile::~SpillFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Status SpillFile::open() {
    if (descriptor_ >= 0) return {};
    descriptor_ = ::open(options_.directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor_ >= 0) return {};
    // Not every file system makes files without a name.
    std::string path = options_.directory + "/penstock-changes-XXXXXX";
    descriptor_ = ::mkostemp(path.data(), O_CLOEXEC);
    if (descriptor_ < 0) return fail(failure("make a temporary file", errno));
    ::unlink(path.c_str());
    return {};
}

Result<SpillFile::Extent> SpillFile::allocate(size_t size) {
    uint64_t length = (size + page - 1) / page * page;
    if (held_ + length > options_.limit_bytes)
        return fail(
            {.kind = ErrorKind::capacity,
             .code = "spill_limit",
             .message = fmt::format("changes that wait to be applied need more than the {} of disk they may take",
                                    humane_bytes(options_.limit_bytes)),
             .where = options_.directory,
             .hint = fmt::format("raise `{}`, or give more memory; a transaction is held whole until it commits",
                                 options_.limit_setting)});
    int tried = 0;
    for (auto hole = holes_.begin(); hole != holes_.end() && tried < most_holes_tried; ++hole, ++tried) {
        if (hole->second < length) continue;
        Extent found{hole->first, length};
        if (hole->second > length) holes_.emplace(hole->first + length, hole->second - length);
        holes_.erase(hole);
        held_ += length;
        return found;
    }
    Extent found{end_, length};
    end_ += length;
    held_ += length;
    return found;
}

Result<SpillFile::Extent> SpillFile::write(const char* bytes, size_t size) {
    PN_CHECK(open());
    PN_TRY(Extent extent, allocate(size));
    for (size_t done = 0; done < size;) {
        auto wrote = ::pwrite(descriptor_, bytes + done, size - done, static_cast<off_t>(extent.offset + done));
        if (wrote > 0) done += static_cast<size_t>(wrote);
        if (wrote > 0 || (wrote < 0 && errno == EINTR)) continue;
        int number = wrote < 0 ? errno : ENOSPC;
        free(extent);
        return fail(failure("write changes to a temporary file", number));
    }
    return extent;
}

Status SpillFile::read(Extent extent, char* bytes, size_t size) const {
    for (size_t done = 0; done < size;) {
        auto got = ::pread(descriptor_, bytes + done, size - done, static_cast<off_t>(extent.offset + done));
        if (got > 0) done += static_cast<size_t>(got);
        if (got > 0 || (got < 0 && errno == EINTR)) continue;
        return fail(failure("read changes back from a temporary file", got < 0 ? errno : EIO));
    }
    return {};
}

void SpillFile::expect(Extent extent) const {
    (void)::posix_fadvise(descriptor_, static_cast<off_t>(extent.offset), static_cast<off_t>(extent.length),
                          POSIX_FADV_WILLNEED);
}

void SpillFile::free(Extent extent) {
    held_ -= extent.length;
    auto [hole, is_new] = holes_.emplace(extent.offset, extent.length);
    if (auto next = std::next(hole); next != holes_.end() && next->first == hole->first + hole->second) {
        hole->second += next->second;
        holes_.erase(next);
    }
    if (hole != holes_.begin()) {
        auto before = std::prev(hole);
        if (before->first + before->second == hole->first) {
            before->second += hole->second;
            holes_.erase(hole);
            hole = before;
        }
    }
    if (hole->first + hole->second == end_) {
        end_ = hole->first;
        holes_.erase(hole);
        if (::ftruncate(descriptor_, static_cast<off_t>(end_)) == 0) return;
    }
    // Where a file system cannot do this the space is used again all the same.
    (void)::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(extent.offset),
                      static_cast<off_t>(extent.length));
}

Error SpillFile::failure(const char* what, int number) const {
    Error error{.kind = ErrorKind::unavailable,
                .code = "spill_failed",
                .message = fmt::format("cannot {}: {}", what, std::generic_category().message(number)),
                .where = options_.directory,
                .hint = fmt::format("see to that disk, or choose another by `{}`", options_.directory_setting)};
    switch (number) {
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
            error.kind = ErrorKind::capacity;
            error.code = "spill_disk_full";
            error.hint = fmt::format("free space there, choose another disk by `{}`, or give more memory",
                                     options_.directory_setting);
            break;
        case ENOENT:
        case ENOTDIR:
        case EACCES:
        case EPERM:
        case EROFS:
            error.kind = ErrorKind::configuration;
            error.code = "spill_directory";
            error.hint = fmt::format("`{}` must name a folder penstock may write to", options_.directory_setting);
            break;
        default: break;
    }
    return error;
}

}  // namespace penstock::postgres
