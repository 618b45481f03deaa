#include "state/run_logs.h"

#include <doctest/doctest.h>

#include "state/test_folder.h"

namespace penstock::state {
namespace {

std::vector<int64_t> numbers_in(const Folder& folder, const std::string& run_id, int64_t after = 0, int most = 100) {
    auto logs = RunLogs::open_existing(url, folder.path);
    REQUIRE(logs);
    auto lines = (*logs)->lines(run_id, after, most);
    REQUIRE(lines);
    std::vector<int64_t> numbers;
    for (const auto& line : *lines) {
        CHECK(line.json == "\"line é " + std::to_string(line.number) + "\"");
        numbers.push_back(line.number);
    }
    return numbers;
}

std::vector<RunLogLine> lines(int64_t from, int64_t to) {
    std::vector<RunLogLine> made;
    for (auto i = from; i <= to; ++i) made.push_back({.number = i, .json = "\"line é " + std::to_string(i) + "\""});
    return made;
}

}  // namespace

TEST_CASE("what a run logs is kept with it, trimmed in the middle, and goes with it") {
    Folder folder;
    auto store = folder.store();
    auto logs = store.logs();
    REQUIRE(logs.add("r1", lines(1, 3), 2, 3));
    CHECK(numbers_in(folder, "r1").empty());  // the history has no such run

    flow::RunResult result{.identity = {.pipeline = "shop", .run_id = "r1"}};
    REQUIRE(store.begin_run(result.identity, TimePoint(std::chrono::seconds(1))));
    REQUIRE(logs.add("r1", lines(1, 3), 2, 3));
    REQUIRE(logs.add("r1", lines(4, 6), 2, 5));
    REQUIRE(logs.add("r1", lines(4, 6), 2, 5));  // as after an answer that was lost
    CHECK(numbers_in(folder, "r1") == std::vector<int64_t>{1, 2, 4, 5, 6});
    CHECK(numbers_in(folder, "r1", 2, 2) == std::vector<int64_t>{4, 5});
    REQUIRE(logs.add("r1", lines(7, 7), 2, 7));
    CHECK(numbers_in(folder, "r1") == std::vector<int64_t>{1, 2, 7});
    CHECK(numbers_in(folder, "r2").empty());
    REQUIRE(logs.add("r1", lines(7, 257), 2, 7));  // more than goes at once
    CHECK(numbers_in(folder, "r1", 2, 500).size() == 251);
    REQUIRE(logs.add("r1", lines(258, 258), 2, 258));

    result.started_at = TimePoint(std::chrono::seconds(1));
    REQUIRE(store.end_run(result, 1));
    CHECK(numbers_in(folder, "r1").size() == 3);
    result.identity.run_id = "r2", result.started_at = TimePoint(std::chrono::seconds(2));
    REQUIRE(store.begin_run(result.identity, result.started_at));
    REQUIRE(logs.add("r2", lines(1, 1), 1, 2));
    REQUIRE(store.end_run(result, 1));
    CHECK(numbers_in(folder, "r1").empty());
    CHECK(numbers_in(folder, "r2").size() == 1);
}

}  // namespace penstock::state
