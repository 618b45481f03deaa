#include "backup/restored_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/failpoint.h"
#include "io/file_error.h"

namespace penstock::backup {
namespace {

namespace fs = std::filesystem;
using io::file_error;

Status give(const fs::path& path, FolderWriter::Owner owner) {
    if (::geteuid() == 0 && ::lchown(path.c_str(), owner.user, owner.group) != 0)
        return fail(file_error("give away", path, errno));
    return {};
}

Status write_all(int out, std::string_view bytes, const fs::path& path) {
    while (!bytes.empty()) {
        ssize_t written = ::write(out, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(file_error("write", path, errno));
        bytes.remove_prefix(static_cast<size_t>(written));
    }
    return {};
}

}  // namespace

FolderWriter::~FolderWriter() {
    if (out_ >= 0) ::close(out_);
}

Status FolderWriter::make_folders(const fs::path& folder, unsigned mode) {
    if (::mkdir(folder.c_str(), mode) == 0) return give(folder, owner_);
    if (errno == ENOENT && folder != root_) {
        PN_CHECK(make_folders(folder.parent_path(), 0700));
        if (::mkdir(folder.c_str(), mode) == 0) return give(folder, owner_);
    }
    if (errno != EEXIST) return fail(file_error("make folder", folder, errno));
    if (::chmod(folder.c_str(), mode) != 0) return fail(file_error("set permissions of", folder, errno));
    return {};
}

Status FolderWriter::begin(const TarEntry& entry) {
    path_ = root_ / (entry.path == "global/pg_control" ? std::string(held_control_file) : entry.path);
    switch (entry.kind) {
        case TarEntry::Kind::folder: folders_.insert(path_); return make_folders(path_, entry.mode);
        case TarEntry::Kind::link: return {};  // tablespaces' links are made anew, to where they are restored
        case TarEntry::Kind::file: break;
    }
    if (auto changed = path_in_server(entry.path); incremental_ && changed != entry.path) {
        path_ = root_ / changed;
        PN_TRY(auto changes, IncrementalFile::open(path_, entry.size));
        changes_.emplace(std::move(changes));
        return {};
    }
    unsigned mode = entry.mode & 0640;
    out_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (out_ < 0 && errno == ENOENT) {
        PN_CHECK(make_folders(path_.parent_path(), 0700));
        out_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    }
    if (out_ < 0) return fail(file_error("write", path_, errno));
    auto other = replaced_.find(entry.path);
    replaces_ = other != replaced_.end();
    return replaces_ ? write_all(out_, other->second, path_) : Status();
}

Status FolderWriter::content(std::string_view bytes) {
    if (changes_) return changes_->add(bytes);
    return replaces_ ? Status() : write_all(out_, bytes, path_);
}

Status FolderWriter::end() {
    if (changes_) {
        auto done = changes_->finish();
        changes_.reset();
        return done;
    }
    if (out_ < 0) return {};
    int out = std::exchange(out_, -1);
    if (::close(out) != 0) return fail(file_error("write", path_, errno));
    PN_CHECK(give(path_, owner_));
    PN_FAILPOINT(restore_file_after);
    return {};
}

Status make_private_folder(const fs::path& folder, FolderWriter::Owner owner) {
    std::error_code failed;
    if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), failed);
    if (failed) return fail(file_error("make folder", folder.parent_path(), failed.value()));
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return fail(file_error("make folder", folder, errno));
    if (::chmod(folder.c_str(), 0700) != 0) return fail(file_error("set permissions of", folder, errno));
    return give(folder, owner);
}

std::string read_small_file(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

Status write_small_file(const fs::path& file, std::string_view content, FolderWriter::Owner owner) {
    int out = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0) return fail(file_error("write", file, errno));
    auto written = write_all(out, content, file);
    if (written && ::fsync(out) != 0) written = fail(file_error("flush", file, errno));
    ::close(out);
    PN_CHECK(std::move(written));
    return give(file, owner);
}

Status flush_file_system(const fs::path& folder) {
    int open = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (open < 0) return fail(file_error("open", folder, errno));
    int failed = ::syncfs(open) == 0 ? 0 : errno;
    ::close(open);
    return failed == 0 ? Status() : Status(fail(file_error("flush", folder, failed)));
}

}  // namespace penstock::backup
