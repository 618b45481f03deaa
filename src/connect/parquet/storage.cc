#include "connect/parquet/storage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>
#include <utility>

#include "io/file_error.h"

namespace penstock::parquet {
namespace {

/// Closes a descriptor at the end of a scope.
class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number() const { return number_; }
    int take() { return std::exchange(number_, -1); }

  private:
    int number_;
};

Status write_all(int descriptor, std::string_view content, const Path& file) {
    while (!content.empty()) {
        ssize_t written = ::write(descriptor, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(storage_error("write", file, errno));
        content.remove_prefix(static_cast<size_t>(written));
    }
    return {};
}

/// Some network file systems cannot flush a folder and say EINVAL; there is nothing more to be done then.
bool cannot_flush(int number) { return number == EINVAL || number == EROFS || number == ENOTSUP; }

}  // namespace

Error storage_error(std::string_view what, const Path& path, int number) { return io::file_error(what, path, number); }

bool is_there(const Path& path) {
    struct stat found{};
    return ::lstat(path.c_str(), &found) == 0;
}

Status make_folder(const Path& folder) {
    std::vector<Path> missing;
    for (Path at = folder; !at.empty() && !is_there(at); at = at.parent_path()) {
        missing.push_back(at);
        if (at == at.parent_path()) break;
    }
    for (auto at = missing.rbegin(); at != missing.rend(); ++at)
        if (::mkdir(at->c_str(), 0777) != 0 && errno != EEXIST) return fail(storage_error("make folder", *at, errno));
    struct stat found{};
    if (::stat(folder.c_str(), &found) != 0) return fail(storage_error("open folder", folder, errno));
    if (!S_ISDIR(found.st_mode)) return fail(storage_error("make folder", folder, ENOTDIR));
    return {};
}

Status write_file(const Path& file, std::string_view content) {
    Path aside = file;
    aside += ".tmp";
    {
        Descriptor out(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
        if (out.number() < 0) return fail(storage_error("write", aside, errno));
        PN_CHECK(write_all(out.number(), content, aside));
        if (::fsync(out.number()) != 0) return fail(storage_error("flush", aside, errno));
    }
    if (::rename(aside.c_str(), file.c_str()) != 0) return fail(storage_error("rename into place", file, errno));
    return sync(file.parent_path());
}

Result<std::string> read_file(const Path& file) {
    Descriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (in.number() < 0) return fail(storage_error("read", file, errno));
    std::string content;
    char buffer[16384];
    for (;;) {
        ssize_t size = ::read(in.number(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return fail(storage_error("read", file, errno));
        if (size == 0) return content;
        content.append(buffer, static_cast<size_t>(size));
    }
}

Status sync(const Path& path) {
    Descriptor open(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (open.number() < 0) return fail(storage_error("open", path, errno));
    if (::fsync(open.number()) != 0 && !cannot_flush(errno)) return fail(storage_error("flush", path, errno));
    return {};
}

Status sync_tree(const Path& folder) {
    std::error_code failed;
    std::filesystem::recursive_directory_iterator entries(folder, failed);
    for (; !failed && entries != std::filesystem::recursive_directory_iterator(); entries.increment(failed))
        PN_CHECK(sync(entries->path()));
    if (failed) return fail(storage_error("list", folder, failed.value()));
    return sync(folder);
}

Status sync_up(const std::vector<Path>& folders, const Path& root) {
    std::set<Path> all;
    for (const auto& folder : folders)
        for (Path at = folder;
             !at.empty() && all.insert(at).second && at != root.parent_path() && at != at.parent_path();)
            at = at.parent_path();
    for (const auto& folder : all)
        if (auto flushed = sync(folder); !flushed && folder != root.parent_path())
            return flushed;  // the root's own folder may not be ours to open
    return {};
}

Status move_path(const Path& from, const Path& to) {
    PN_CHECK(make_folder(to.parent_path()));
    if (::rename(from.c_str(), to.c_str()) != 0) return fail(storage_error("rename into place", to, errno));
    return {};
}

Result<bool> exchange_paths(const Path& one, const Path& other) {
    if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) != 0) {
        if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) return false;
        return fail(storage_error("swap", other, errno));
    }
    return true;
}

Status remove_tree(const Path& path) {
    std::error_code failed;
    std::filesystem::remove_all(path, failed);
    if (failed) return fail(storage_error("remove", path, failed.value()));
    return {};
}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
    if (this != &other) {
        release();
        descriptor_ = std::exchange(other.descriptor_, -1);
    }
    return *this;
}

void FolderLock::release() noexcept {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

Result<FolderLock> FolderLock::take(const Path& file) {
    PN_CHECK(make_folder(file.parent_path()));
    Descriptor open(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (open.number() < 0) return fail(storage_error("open", file, errno));
    if (::flock(open.number(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return fail(storage_error("lock", file, errno));
        std::string holder = read_file(file).value_or("");
        return fail({.kind = ErrorKind::conflict,
                     .code = "folder_locked",
                     .message = fmt::format("another run of this pipeline is writing to {}{}",
                                            file.parent_path().parent_path().parent_path().string(),
                                            holder.empty() ? "" : fmt::format(" ({})", holder)),
                     .hint = "wait for it to end, or stop it"});
    }
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    std::string note = fmt::format("PID {} on {}", ::getpid(), host);
    if (::ftruncate(open.number(), 0) != 0) return fail(storage_error("write", file, errno));
    PN_CHECK(write_all(open.number(), note, file));
    FolderLock lock;
    lock.descriptor_ = open.take();
    return lock;
}

}  // namespace penstock::parquet
