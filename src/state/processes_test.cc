// Several processes at one state.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "state/test_folder.h"

namespace penstock::state {
namespace {

/// Runs one of the "child" test cases below in a process of its own; a plain fork would not do, because it has threads.
pid_t start_child(const std::string& name, const Folder& folder, int64_t number, int until_closed) {
    std::string filter = "--test-case=" + name, number_text = fmt::format("{}", number);
    std::string pipe_text = fmt::format("{}", until_closed);
    pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid != 0) return pid;
    ::setenv("PENSTOCK_TEST_FOLDER", folder.path.c_str(), 1);
    ::setenv("PENSTOCK_TEST_NUMBER", number_text.c_str(), 1);
    ::setenv("PENSTOCK_TEST_PIPE", pipe_text.c_str(), 1);
    ::execl("/proc/self/exe", "state_tests", filter.c_str(), "--no-skip", static_cast<char*>(nullptr));
    ::_exit(99);
}

std::string child_folder() { return std::getenv("PENSTOCK_TEST_FOLDER"); }

int wait_for(pid_t pid) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr int processes = 8, runs_each = 20;

int run_racing_child() {
    int number = std::atoi(std::getenv("PENSTOCK_TEST_NUMBER"));
    auto store = Store::open(url, child_folder());  // the schema is made by all of them, too
    if (!store) return 9;
    auto lock = store->acquire("shop", fmt::format("lock_{}", number));
    if (!lock && lock.error().code != "already_running") return 8;
    for (int run = 0; run < runs_each; ++run) {
        flow::RunResult result;
        result.identity = {.pipeline = fmt::format("p{}", number), .run_id = fmt::format("run_{}_{}", number, run)};
        if (!store->begin_run(result.identity, now()) || !store->end_run(result)) return 7;
    }
    char end = 0;  // holds the lock until all are through
    [[maybe_unused]] auto closed = ::read(std::atoi(std::getenv("PENSTOCK_TEST_PIPE")), &end, 1);
    return lock ? 1 : 0;
}

int run_opening_child() {
    std::this_thread::sleep_until(std::chrono::system_clock::time_point(
        std::chrono::microseconds(std::atoll(std::getenv("PENSTOCK_TEST_NUMBER")))));
    return Store::open(url, child_folder()) ? 0 : 1;
}

int run_dying_child() {
    auto store = Store::open(url, child_folder());
    if (!store) return 1;
    auto lock = store->acquire("shop", "run_1");
    if (!lock || !store->begin_run({.pipeline = "shop", .run_id = "run_1"}, now())) return 2;
    ::raise(SIGKILL);
    return 3;
}

}  // namespace

TEST_CASE("child that races" * doctest::skip()) { ::_exit(run_racing_child()); }
TEST_CASE("child that opens" * doctest::skip()) { ::_exit(run_opening_child()); }
TEST_CASE("child that dies" * doctest::skip()) { ::_exit(run_dying_child()); }

TEST_CASE("of many processes at once one gets the lock and all are recorded") {
    Folder folder;
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    REQUIRE(::fcntl(ready[1], F_SETFD, FD_CLOEXEC) == 0);
    std::vector<pid_t> children;
    for (int i = 0; i < processes; ++i) children.push_back(start_child("child that races", folder, i, ready[0]));
    ::close(ready[0]);
    auto store = folder.store();
    for (int waited = 0; waited < 1'200; ++waited) {
        auto so_far = store.runs(1'000);
        REQUIRE(so_far);
        if (std::ranges::count(*so_far, "success", &RunRecord::status) == processes * runs_each) break;
        ::usleep(50'000);
    }
    ::close(ready[1]);
    int winners = 0;
    for (pid_t child : children) {
        int code = wait_for(child);
        CHECK_MESSAGE(code >= 0, "child was killed");
        CHECK_MESSAGE(code <= 1, "child ended with " << code);
        winners += code;
    }
    CHECK(winners == 1);
    auto all = store.runs(1'000);
    REQUIRE(all);
    CHECK(all->size() == processes * runs_each);
}

TEST_CASE("processes that make the state in the same instant all get it") {
    int rounds = url.starts_with("sqlite") ? 20 : 4;  // on a server there is more to make
    for (int round = 0; round < rounds; ++round) {
        Folder folder;
        auto start = std::chrono::system_clock::now() + std::chrono::milliseconds(100);
        auto micros = std::chrono::duration_cast<std::chrono::microseconds>(start.time_since_epoch()).count();
        std::vector<pid_t> children;
        for (int i = 0; i < processes; ++i) children.push_back(start_child("child that opens", folder, micros, -1));
        for (pid_t child : children) CHECK(wait_for(child) == 0);
    }
}

TEST_CASE("the lock of a killed process is taken over at once and its run is failed") {
    Folder folder;
    folder.store();
    CHECK(wait_for(start_child("child that dies", folder, 0, -1)) == -1);

    auto store = folder.store();
    auto shown = store.run("run_1");
    REQUIRE(shown);
    REQUIRE(shown->has_value());
    CHECK((*shown)->status == "failed");
    CHECK((*shown)->error->message == "interrupted by a crash");
    auto holders = store.holders();
    REQUIRE(holders);
    CHECK(holders->empty());

    auto lock = store.acquire("shop", "run_2");
    REQUIRE_MESSAGE(lock, lock.error().text());
    auto recorded = store.run("run_1");
    REQUIRE(recorded);
    CHECK((*recorded)->status == "failed");
    CHECK((*recorded)->error->code == "crashed");
}

}  // namespace penstock::state
