#include "connect/postgres/capture/spill_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace penstock::postgres {
namespace {

namespace fs = std::filesystem;

struct Folder {
    Folder() {
        path = (fs::temp_directory_path() / "penstock_spill_file_XXXXXX").string();
        REQUIRE(::mkdtemp(path.data()) != nullptr);
    }
    ~Folder() { fs::remove_all(path); }

    /// Of the file without a name: its length, and what it takes of the disk.
    std::pair<int64_t, int64_t> size() const {
        for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
            std::error_code gone;
            struct stat file{};
            if (fs::read_symlink(entry.path(), gone).string().starts_with(path) &&
                ::stat(entry.path().c_str(), &file) == 0)
                return {file.st_size, file.st_blocks * 512};
        }
        return {0, 0};
    }
    std::string path;
};

TEST_CASE("space in the middle is given back and used again") {
    Folder folder;
    SpillFile file({.directory = folder.path, .limit_bytes = uint64_t{1} << 20});
    std::string text(8192, 'x');
    std::vector<SpillFile::Extent> extents;
    for (int i = 0; i < 4; ++i) {
        auto extent = file.write(text.data(), text.size());
        REQUIRE(extent);
        extents.push_back(*extent);
    }
    CHECK(folder.size().first == 4 * 8192);
    file.free(extents[1]);
    file.free(extents[2]);
    CHECK(file.held_bytes() == 2 * 8192);
    CHECK(folder.size().first == 4 * 8192);
    CHECK(folder.size().second <= 2 * 8192);
    text.assign(16384, 'y');  // fits where the two were
    auto again = file.write(text.data(), text.size());
    REQUIRE(again);
    CHECK(again->offset == extents[1].offset);
    file.free(extents[3]);
    CHECK(folder.size().first == 3 * 8192);
}

TEST_CASE("whatever is written and freed in whatever order, the rest stays and nothing is lost") {
    unsigned seed = std::random_device{}();
    INFO("seed ", seed);
    std::mt19937 random(seed);
    Folder folder;
    SpillFile file({.directory = folder.path, .limit_bytes = uint64_t{1} << 30});
    std::multimap<uint64_t, std::pair<SpillFile::Extent, std::string>> held;
    auto drop = [&] {
        auto chosen = std::next(held.begin(), static_cast<ptrdiff_t>(random() % held.size()));
        auto& [extent, text] = chosen->second;
        std::string back(text.size(), '\0');
        REQUIRE(file.read(extent, back.data(), back.size()));
        REQUIRE(back == text);
        file.free(extent);
        held.erase(chosen);
    };
    int64_t longest = 0;
    for (int i = 0; i < 3000; ++i) {
        if (held.size() > 20 || (!held.empty() && random() % 2 == 0)) {
            drop();
        } else {
            std::string text(1 + random() % 20'000, static_cast<char>(random()));
            auto extent = file.write(text.data(), text.size());
            REQUIRE(extent);
            held.emplace(extent->offset, std::pair(*extent, std::move(text)));
        }
        longest = std::max(longest, folder.size().first);
    }
    CHECK(longest < 40 * 20'480);  // space is used again
    while (!held.empty()) drop();
    CHECK(file.held_bytes() == 0);
    CHECK(folder.size() == std::pair<int64_t, int64_t>(0, 0));
}

}  // namespace
}  // namespace penstock::postgres
