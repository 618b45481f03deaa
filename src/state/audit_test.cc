#include "state/audit.h"

#include "state/test_folder.h"

namespace penstock::state {
namespace {

TEST_CASE("audit: what was begun is there at once, the newest first") {
    Folder folder;
    auto audit = Audit::open(url, folder.path);
    REQUIRE(audit);
    const TimePoint at{std::chrono::seconds(1'800'000'000)};
    for (const std::string id : {"1", "2", "3"})
        REQUIRE(audit->begin({id, at, "anna", "operator", "pause", "orders", "{}"}));
    REQUIRE(audit->begin({"3", at, "anna", "operator", "pause", "orders", "{}"}));
    REQUIRE(audit->end("2", 200));
    auto all = audit->newest(10);
    REQUIRE(all);
    REQUIRE(all->size() == 3);
    CHECK(all->front().id == "3");
    CHECK(all->front().status == 0);
    CHECK(all->at(1).status == 200);
    CHECK(all->at(1).actor == "anna");
    CHECK(all->at(1).at == at);
    auto earlier = audit->newest(1, "3");
    REQUIRE(earlier->size() == 1);
    CHECK(earlier->front().id == "2");
}

}  // namespace
}  // namespace penstock::state
