#include "io/folder_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "io/file_error.h"

namespace penstock::io {
namespace {

namespace fs = std::filesystem;

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int number() const { return number_; }
    void hold(int number) { number_ = number; }

  private:
    int number_;
};

/// Some network file systems cannot flush a folder and say EINVAL; there is nothing more to be done then.
bool cannot_flush(int number) { return number == EINVAL || number == EROFS || number == ENOTSUP; }

Status flush_folder(const fs::path& folder) {
    Descriptor open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (open.number() < 0) return fail(file_error("open", folder, errno));
    if (::fsync(open.number()) != 0 && !cannot_flush(errno)) return fail(file_error("flush", folder, errno));
    return {};
}

/// Makes what is missing, and flushes each folder that holds a new one.
Status make_folder(const fs::path& folder) {
    if (::mkdir(folder.c_str(), 0777) == 0) return flush_folder(folder.parent_path());
    if (errno == ENOENT && folder != folder.parent_path()) {
        PN_CHECK(make_folder(folder.parent_path()));
        if (::mkdir(folder.c_str(), 0777) == 0) return flush_folder(folder.parent_path());
    }
    struct stat found{};
    int failed = errno;
    if (failed != EEXIST) return fail(file_error("make folder", folder, failed));
    if (::stat(folder.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) return {};
    return fail(file_error("make folder", folder, ENOTDIR));
}

/// Files without a name where the file system has them, so that a kill leaves nothing; else under a name that readers skip.
class FileWriter : public ObjectWriter {
  public:
    FileWriter(fs::path file, bool exclusive) : file_(std::move(file)), exclusive_(exclusive), out_(-1) {}
    ~FileWriter() override {
        if (!aside_.empty()) ::unlink(aside_.c_str());
    }

    Status open() {
        PN_CHECK(make_folder(file_.parent_path()));
        if (exclusive_) out_.hold(::open(file_.parent_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
        if (out_.number() >= 0) return {};
        static std::atomic<uint64_t> counter = 0;
        aside_ = file_.parent_path() / fmt::format(".{}.{}-{}.tmp", file_.filename().string(), ::getpid(), ++counter);
        out_.hold(::open(aside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
        if (out_.number() < 0) return fail(file_error("write", std::exchange(aside_, {}), errno));
        return {};
    }

    Status write(std::string_view bytes) override {
        while (!bytes.empty()) {
            ssize_t written = ::write(out_.number(), bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return fail(file_error("write", file_, errno));
            bytes.remove_prefix(static_cast<size_t>(written));
        }
        return {};
    }

    Result<bool> close() override {
        if (::fsync(out_.number()) != 0) return fail(file_error("flush", file_, errno));
        if (exclusive_) {
            auto from = aside_.empty() ? fmt::format("/proc/self/fd/{}", out_.number()) : aside_.string();
            if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, file_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
                if (errno == EEXIST) return false;
                return fail(file_error("write", file_, errno));
            }
        } else {
            if (::rename(aside_.c_str(), file_.c_str()) != 0)
                return fail(file_error("rename into place", file_, errno));
            aside_.clear();
        }
        PN_CHECK(flush_folder(file_.parent_path()));
        return true;
    }

  private:
    fs::path file_;
    fs::path aside_;
    bool exclusive_;
    Descriptor out_;
};

class FileReader : public ObjectReader {
  public:
    FileReader(fs::path file, int in) : file_(std::move(file)), in_(in) {}

    Result<std::string> read(uint64_t size) override {
        std::string content(size, '\0');
        uint64_t have = 0;
        while (have < size) {
            ssize_t got = ::read(in_.number(), content.data() + have, size - have);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return fail(file_error("read", file_, errno));
            if (got == 0) break;
            have += static_cast<uint64_t>(got);
        }
        content.resize(have);
        return content;
    }

  private:
    fs::path file_;
    Descriptor in_;
};

ObjectInfo info_of(std::string name, const struct stat& found) {
    auto since = std::chrono::seconds(found.st_mtim.tv_sec) + std::chrono::nanoseconds(found.st_mtim.tv_nsec);
    return {.name = std::move(name),
            .size = static_cast<uint64_t>(found.st_size),
            .modified = TimePoint(std::chrono::duration_cast<std::chrono::microseconds>(since))};
}

class FolderStore : public ObjectStore {
  public:
    explicit FolderStore(fs::path root) : root_(std::move(root)) {}

    Result<std::unique_ptr<ObjectWriter>> write(const std::string& name) override { return begin(name, false); }
    Result<std::unique_ptr<ObjectWriter>> write_new(const std::string& name) override { return begin(name, true); }

    Result<std::unique_ptr<ObjectReader>> read(const std::string& name) override {
        auto file = root_ / name;
        int in = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
        if (in < 0 && (errno == ENOENT || errno == ENOTDIR)) return fail(no_such_object(url(name)));
        if (in < 0) return fail(file_error("read", file, errno));
        return std::make_unique<FileReader>(std::move(file), in);
    }

    Result<std::optional<ObjectInfo>> info(const std::string& name) override {
        auto file = root_ / name;
        struct stat found{};
        if (::stat(file.c_str(), &found) != 0) {
            if (errno == ENOENT || errno == ENOTDIR) return std::optional<ObjectInfo>();
            return fail(file_error("look at", file, errno));
        }
        return std::optional(info_of(name, found));
    }

    Result<std::vector<ObjectInfo>> list(const std::string& folder) override {
        std::vector<ObjectInfo> found;
        std::error_code failed;
        fs::recursive_directory_iterator entries(root_ / folder, failed);
        if (failed == std::errc::no_such_file_or_directory || failed == std::errc::not_a_directory) return found;
        for (; !failed && entries != fs::recursive_directory_iterator(); entries.increment(failed)) {
            if (entries->path().filename().native().starts_with('.')) continue;
            struct stat one{};  // it may be gone between its name and its size
            if (::stat(entries->path().c_str(), &one) == 0 && S_ISREG(one.st_mode))
                found.push_back(info_of(entries->path().lexically_relative(root_).string(), one));
        }
        if (failed) return fail(file_error("list", root_ / folder, failed.value()));
        std::ranges::sort(found, {}, &ObjectInfo::name);
        return found;
    }

    Status remove(const std::string& name) override {
        auto file = root_ / name;
        if (::unlink(file.c_str()) == 0) return flush_folder(file.parent_path());
        if (errno == ENOENT || errno == ENOTDIR) return {};
        return fail(file_error("remove", file, errno));
    }

    std::string url(const std::string& name) const override { return "file://" + (root_ / name).string(); }
    bool names_exclusive() const override { return true; }

  private:
    Result<std::unique_ptr<ObjectWriter>> begin(const std::string& name, bool exclusive) {
        auto writer = std::make_unique<FileWriter>(root_ / name, exclusive);
        PN_CHECK(writer->open());
        return writer;
    }

    fs::path root_;
};

}  // namespace

std::shared_ptr<ObjectStore> folder_store(fs::path root) { return std::make_shared<FolderStore>(std::move(root)); }

}  // namespace penstock::io
