#include "base/scratch_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace penstock {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view begins = "penstock-scratch-";
constexpr const char* lock_file = ".held";
constexpr const char* new_lock_file = ".making";

/// A descriptor that holds the folder, or -1: another process does, or it is none of ours.
int hold(const fs::path& file_path, int flags) {
    int file = ::open(file_path.c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return -1;
    struct stat told{};
    bool ours = ::fstat(file, &told) == 0 && told.st_uid == ::geteuid();
    if (ours && ::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
    ::close(file);
    return -1;
}

/// The lock goes last, so that whoever is killed here leaves a folder that the next one removes.
void remove_held(const fs::path& folder) {
    std::error_code failed, ignored;
    for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed))
        if (at->path().filename() != lock_file) fs::remove_all(at->path(), ignored);
    fs::remove(folder / lock_file, ignored);
    fs::remove(folder, ignored);
}

void remove_abandoned(const fs::path& above) {
    std::error_code failed;
    for (fs::directory_iterator at(above, fs::directory_options::skip_permission_denied, failed), end;
         !failed && at != end; at.increment(failed)) {
        std::error_code ignored;
        const auto& path = at->path();
        if (!path.filename().string().starts_with(begins) || !fs::is_directory(at->symlink_status(ignored))) continue;
        // One that is being made has no such file yet; it is there, and locked, at one stroke.
        int lock = hold(path / lock_file, 0);
        if (lock < 0) continue;
        remove_held(path);
        ::close(lock);
    }
}

/// A descriptor that holds a new folder, or -1.
int take(const fs::path& folder) {
    int lock = hold(folder / new_lock_file, O_CREAT);
    if (lock >= 0 && ::rename((folder / new_lock_file).c_str(), (folder / lock_file).c_str()) == 0) return lock;
    int why = errno;
    std::error_code ignored;
    if (lock >= 0) ::close(lock);
    fs::remove_all(folder, ignored);
    errno = why;
    return -1;
}

}  // namespace

Result<ScratchFolder> ScratchFolder::make() {
    std::error_code failed;
    auto above = fs::temp_directory_path(failed);
    if (failed) above = "/tmp";
    remove_abandoned(above);
    std::string pattern = above / (std::string(begins) + "XXXXXX");
    int lock = ::mkdtemp(pattern.data()) == nullptr ? -1 : take(pattern);
    if (lock < 0)
        return fail({.kind = ErrorKind::capacity,
                     .code = "temporary_folder",
                     .message = fmt::format("cannot make a folder below {}: {}", above.string(),
                                            std::generic_category().message(errno)),
                     .hint = "rows are staged on this machine: give TMPDIR a folder with room"});
    return ScratchFolder(pattern, lock);
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

ScratchFolder& ScratchFolder::operator=(ScratchFolder&& other) noexcept {
    if (this == &other) return *this;
    remove();
    path_ = std::move(other.path_);
    lock_ = std::exchange(other.lock_, -1);
    return *this;
}

ScratchFolder::~ScratchFolder() { remove(); }

void ScratchFolder::remove() noexcept {
    if (lock_ < 0) return;
    remove_held(path_);
    ::close(std::exchange(lock_, -1));
}

}  // namespace penstock
