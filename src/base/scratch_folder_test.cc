#include "base/scratch_folder.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>

namespace penstock {
namespace {

namespace fs = std::filesystem;

/// TMPDIR of one test.
struct Above {
    Above() {
        std::string pattern = fs::temp_directory_path() / "penstock-above-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
        if (const char* known = std::getenv("TMPDIR")) before = known;
        ::setenv("TMPDIR", path.c_str(), 1);
    }
    ~Above() {
        if (before.empty()) ::unsetenv("TMPDIR");
        else ::setenv("TMPDIR", before.c_str(), 1);
        fs::remove_all(path);
    }
    size_t folders() const {
        return static_cast<size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
    }
    fs::path path;
    std::string before;
};

TEST_CASE("a scratch folder goes with what made it") {
    Above above;
    {
        auto one = ScratchFolder::make();
        auto other = ScratchFolder::make();
        REQUIRE(one);
        REQUIRE(other);
        std::ofstream(one->path() / "part") << "rows";
        CHECK(above.folders() == 2);
        ScratchFolder moved = std::move(*one);
        *other = std::move(moved);
        CHECK(above.folders() == 1);
        CHECK(fs::exists(other->path() / "part"));
    }
    CHECK(above.folders() == 0);
}

TEST_CASE("what a killed process has left is removed by the next, and nothing else is") {
    Above above;
    fs::create_directory(above.path / "penstock-scratch-others");  // without a lock: of somebody who is making it
    fs::create_directory_symlink("/", above.path / "penstock-scratch-link");
    int told[2];
    REQUIRE(::pipe(told) == 0);
    auto child = ::fork();
    if (child == 0) {
        auto made = ScratchFolder::make();
        std::ofstream(made->path() / "part") << "rows";
        (void)!::write(told[1], "x", 1);
        ::pause();
        ::_exit(0);
    }
    char byte = 0;
    REQUIRE(::read(told[0], &byte, 1) == 1);
    {
        auto alive = ScratchFolder::make();
        REQUIRE(alive);
        CHECK(above.folders() == 4);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK(above.folders() == 3);
    {
        auto next = ScratchFolder::make();
        REQUIRE(next);
        CHECK(above.folders() == 3);
    }
    CHECK(above.folders() == 2);
    ::close(told[0]);
    ::close(told[1]);
}

TEST_CASE("a temporary folder that cannot be made is told of") {
    Above above;
    ::setenv("TMPDIR", "/proc", 1);
    auto made = ScratchFolder::make();
    REQUIRE(!made);
    CHECK(made.error().code == "temporary_folder");
    CHECK(made.error().message.find("/proc") != std::string::npos);
}

}  // namespace
}  // namespace penstock
