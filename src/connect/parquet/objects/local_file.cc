#include "connect/parquet/objects/local_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "io/file_error.h"

namespace penstock::parquet {
namespace {

constexpr uint64_t read_bytes = uint64_t{4} << 20;
constexpr std::string_view folder_scheme = "file://";

Result<int> unnamed_file() {
    auto folder = std::filesystem::temp_directory_path();
    int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0) return file;
    std::string name = (folder / "penstock-object-XXXXXX").string();
    file = ::mkostemp(name.data(), O_CLOEXEC);
    if (file < 0) return fail(io::file_error("write", folder, errno));
    ::unlink(name.c_str());
    return file;
}

Status copy(io::ObjectReader& from, int to) {
    for (;;) {
        PN_TRY(auto piece, from.read(read_bytes));
        if (piece.empty()) return {};
        for (std::string_view rest = piece; !rest.empty();) {
            ssize_t written = ::write(to, rest.data(), rest.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0)
                return fail(io::file_error("copy an object into", std::filesystem::temp_directory_path(), errno));
            rest.remove_prefix(static_cast<size_t>(written));
        }
    }
}

}  // namespace

LocalFile::LocalFile(LocalFile&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
LocalFile::~LocalFile() {
    if (file_ >= 0) ::close(file_);
}

std::string LocalFile::path() const { return fmt::format("/proc/self/fd/{}", file_); }

Result<LocalFile> LocalFile::of(io::ObjectStore& store, const io::ObjectInfo& object) {
    std::string url = store.url(object.name);
    if (url.starts_with(folder_scheme)) {
        std::filesystem::path path = url.substr(folder_scheme.size());
        int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) return fail(io::file_error("read", path, errno));
        return LocalFile(file);
    }
    PN_TRY(int file, unnamed_file());
    LocalFile made(file);
    PN_TRY(auto reader, store.read(object.name));
    PN_CHECK(copy(*reader, file));
    return made;
}

}  // namespace penstock::parquet
