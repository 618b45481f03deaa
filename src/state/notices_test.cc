#include "state/notices.h"

#include "state/test_folder.h"

namespace penstock::state {
namespace {

const TimePoint start{std::chrono::seconds(1'800'000'000)};
constexpr std::chrono::hours hour{1};

Notice failure(const std::string& id, TimePoint at, const std::string& subject = "timeout") {
    return {.id = id,
            .connection = "slack",
            .pipeline = "orders",
            .event = "run_failed",
            .subject = subject,
            .payload = "{}",
            .made_at = at};
}

Notices notices(const Folder& folder) {
    auto opened = Notices::open(url, folder.path);
    REQUIRE(opened);
    return std::move(*opened);
}

TEST_CASE("notices: the same news is told once, and again after a while or after a success") {
    Folder folder;
    auto store = folder.store();
    auto all = notices(folder);
    auto add = [&](const Notice& notice) {
        auto added = all.add(notice, hour);
        REQUIRE(added);
        return *added;
    };
    CHECK(add(failure("a", start)));
    CHECK_FALSE(add(failure("a", start)));
    CHECK_FALSE(add(failure("b", start + std::chrono::minutes(30))));
    CHECK(add(failure("c", start + std::chrono::minutes(30), "another error")));
    CHECK(add(failure("d", start + std::chrono::minutes(61))));
    flow::RunResult result;
    result.identity = {.pipeline = "orders", .run_id = "r1"};
    result.started_at = start + std::chrono::minutes(70);
    REQUIRE(store.end_run(result));
    CHECK(add(failure("e", start + std::chrono::minutes(80))));
}

TEST_CASE("notices: one process at a time has one, and another one when it is gone") {
    Folder folder;
    auto first = notices(folder), second = notices(folder);
    REQUIRE(first.add(failure("a", start), hour));
    auto taken = first.take(start, 10);
    REQUIRE(taken);
    REQUIRE(taken->size() == 1);
    CHECK(taken->front().attempts == 1);
    CHECK(second.take(start + std::chrono::minutes(1), 10)->empty());
    auto left = second.take(start + std::chrono::minutes(3), 10);
    REQUIRE(left->size() == 1);
    CHECK(left->front().attempts == 2);
    REQUIRE(second.again(left->front(), start + hour, "status 503"));
    CHECK(first.take(start + std::chrono::minutes(59), 10)->empty());
    REQUIRE(first.take(start + hour, 10)->size() == 1);
    REQUIRE(first.delivered(left->front(), start + hour));
    CHECK(second.take(start + 24 * hour, 10)->empty());
    REQUIRE(first.forget(start + 2 * hour));
    CHECK(*first.add(failure("a", start + 2 * hour), hour));
}

}  // namespace
}  // namespace penstock::state
