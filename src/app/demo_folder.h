#pragma once

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <utility>

#include "base/error.h"

namespace penstock::app {

inline Error demo_error(ErrorKind kind, std::string code, std::string message, std::string hint) {
    return {.kind = kind, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

/// The folder with configuration and warehouse of the demonstration: removed at the end unless it is to be kept.
class DemoFolder {
  public:
    static Result<DemoFolder> make(const std::string& keep) {
        if (keep.empty()) {
            std::string pattern = std::filesystem::temp_directory_path() / "penstock-demo-XXXXXX";
            if (mkdtemp(pattern.data()) != nullptr) return DemoFolder(pattern, true);
        } else {
            std::error_code failed;
            if (std::filesystem::create_directory(keep, failed)) return DemoFolder(keep, false);
            if (!failed)
                return fail(
                    demo_error(ErrorKind::usage, "folder_exists", fmt::format("{} exists", keep), "name a new folder"));
        }
        return fail(demo_error(ErrorKind::refused, "no_folder", "no folder can be made for the demonstration",
                               "look at TMPDIR, or name another with --keep"));
    }
    ~DemoFolder() {
        std::error_code ignored;
        if (temporary_ && !path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    DemoFolder(DemoFolder&& other) noexcept : path_(std::exchange(other.path_, {})), temporary_(other.temporary_) {}
    DemoFolder& operator=(DemoFolder&&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    DemoFolder(std::filesystem::path path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}
    std::filesystem::path path_;
    bool temporary_;
};

}  // namespace penstock::app
