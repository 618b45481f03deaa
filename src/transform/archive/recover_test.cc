#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <deque>
#include <map>
#include <set>

#include "base/failpoint.h"
#include "transform/archive/test_archive.h"

namespace penstock::archive {
namespace {

constexpr int64_t start = 1'795'242'813'000'000;
constexpr int messages = 24;
constexpr int in_segment = 6;

/// A store that tells nobody that a name was taken meanwhile, as a bucket does.
class Loose : public io::ObjectStore {
  public:
    explicit Loose(io::ObjectStore& folder) : folder_(folder) {}
    Result<std::unique_ptr<io::ObjectWriter>> write(const std::string& name) override { return folder_.write(name); }
    Result<std::unique_ptr<io::ObjectWriter>> write_new(const std::string& name) override {
        return folder_.write(name);
    }
    Result<std::unique_ptr<io::ObjectReader>> read(const std::string& name) override { return folder_.read(name); }
    Result<std::optional<io::ObjectInfo>> info(const std::string& name) override { return folder_.info(name); }
    Result<std::vector<io::ObjectInfo>> list(const std::string& folder) override { return folder_.list(folder); }
    Status remove(const std::string& name) override { return folder_.remove(name); }
    std::string url(const std::string& name) const override { return folder_.url(name); }
    bool names_exclusive() const override { return false; }

  private:
    io::ObjectStore& folder_;
};

/// All messages come in the same second, so that names collide.
Owned message(int number) {
    return {.route = number % 3 == 0 ? "a" : "b",
            .payload = fmt::format("message {}", number),
            .position = fmt::format("{:04}", number),
            .received_micros = start};
}

/// What a stream does, from the position that the target has: archive, commit, next segment; the last one has nothing.
Status stream(io::ObjectStore& store, io::ObjectStore& target) {
    std::deque<Owned> kept;
    ArchiveWriter writer(store, "p", {});
    std::string committed;
    PN_TRY(auto there, target.info("position"));
    if (there) {
        PN_TRY(committed, target.get("position"));
    }
    PN_CHECK(writer.recover(committed));
    for (int next = committed.empty() ? 0 : std::stoi(committed); next < messages + in_segment;) {
        for (int i = 0; i < in_segment; ++i, ++next)
            if (next < messages) {
                const auto& one = kept.emplace_back(message(next));
                PN_CHECK(writer.add(one.route, one.message(), at(start)));
            }
        PN_CHECK(writer.publish(fmt::to_string(next)));
        PN_FAILPOINT(target_commit_before);
        PN_CHECK(target.put("position", fmt::to_string(next)));
        PN_FAILPOINT(target_commit_after);
    }
    return writer.finish();
}

/// Whether the process was killed.
bool run_child(io::ObjectStore& store, io::ObjectStore& target, const std::string& failpoint) {
    pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto armed = arm_failpoints(failpoint.c_str());
        ::_exit(armed && stream(store, target) ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
        CHECK(WTERMSIG(status) == SIGKILL);
        return true;
    }
    CHECK(WEXITSTATUS(status) == (failpoint.find("error") == failpoint.npos ? 0 : 1));
    return false;
}

void check_whole(io::ObjectStore& store, const TestFolder& folder) {
    auto found = read_all(store, "p", {}, TimePoint{}, at(start + 1));
    REQUIRE_MESSAGE(found, (found ? "" : found.error().text()));
    std::map<std::string, int> times;
    for (const auto& one : *found) {
        times[one.position] += 1;
        CHECK(one == message(std::stoi(one.position)));
    }
    for (int number = 0; number < messages; ++number) CHECK(times[message(number).position] == 1);
    CHECK(found->size() == messages);
    // An object for each index, an index for each object, and nothing else.
    auto names = folder.names();
    std::set<std::string> there(names.begin(), names.end());
    for (const auto& name : there) {
        CHECK(name.starts_with("output/"));
        CHECK(there.contains(name.ends_with(".index") ? name.substr(0, name.size() - 6) : name + ".index"));
    }
}

const std::vector<std::string> points = {"archive_intent_before", "archive_intent_after", "archive_index_after",
                                         "archive_object_after",  "target_commit_before", "target_commit_after"};

TEST_CASE("killed anywhere and run again, each message is in exactly one object") {
    int kills = 0;
    for (bool loose : {false, true})
        for (const auto& point : points)
            for (int visit = 1; visit <= 8; ++visit) {
                CAPTURE(point);
                CAPTURE(visit);
                TestFolder folder;
                TestFolder target;
                Loose bucket(*folder.store);
                io::ObjectStore& store = loose ? static_cast<io::ObjectStore&>(bucket) : *folder.store;
                if (!run_child(store, *target.store, fmt::format("{}@{}=kill", point, visit))) break;
                ++kills;
                // Again, within what the first kill left to be taken back.
                if (visit % 2 == 0) run_child(store, *target.store, "archive_withdraw_during=kill");
                CHECK(!run_child(store, *target.store, ""));
                check_whole(store, folder);
            }
    CHECK(kills > 50);
}

TEST_CASE("a store that fails at a step, and the stream begun anew") {
    for (const auto& point : points)
        for (int visit : {1, 3}) {
            CAPTURE(point);
            TestFolder folder;
            TestFolder target;
            run_child(*folder.store, *target.store, fmt::format("{}@{}=error", point, visit));
            CHECK(!run_child(*folder.store, *target.store, ""));
            check_whole(*folder.store, folder);
        }
}

TEST_CASE("another's object under a name that was meant to be ours is left alone") {
    TestFolder folder;
    TestFolder target;
    CHECK(run_child(*folder.store, *target.store, "archive_intent_after=kill"));
    std::string name = "output/a/2026/11/21/06/a_20261121063333.json";
    REQUIRE(folder.store->put(name, "another's"));
    ArchiveWriter writer(*folder.store, "p", {});
    CHECK(writer.recover("") == size_t{0});
    CHECK(folder.store->get(name) == "another's");
}

TEST_CASE("positions are compared as JSON, and what is committed stays") {
    TestFolder folder;
    auto one = message(1);
    for (auto [committed, removed] : {std::pair{R"({ "b": [1], "a": 2 })", 0}, {R"({"a":2,"b":[2]})", 1}, {"", 1}}) {
        ArchiveWriter writer(*folder.store, "p", {});
        REQUIRE(writer.add("r", one.message(), at(start)));
        REQUIRE(writer.publish(R"({"a":2,"b":[1]})"));
        ArchiveWriter next(*folder.store, "p", {});
        CHECK(next.recover(committed) == static_cast<size_t>(removed));
    }
}

TEST_CASE("the intent of a committed segment is gone when the position moves on without messages") {
    TestFolder folder;
    auto one = message(1);
    ArchiveWriter writer(*folder.store, "p", {});
    REQUIRE(writer.add("r", one.message(), at(start)));
    REQUIRE(writer.publish("1"));
    REQUIRE(writer.publish("2"));  // nothing was added
    ArchiveWriter next(*folder.store, "p", {});
    CHECK(next.recover("2") == size_t{0});
    CHECK(folder.names().size() == 2);
}

TEST_CASE("abort takes back nothing that a publish has shown whole") {
    TestFolder folder;
    auto one = message(1);
    ArchiveWriter writer(*folder.store, "p", {});
    REQUIRE(writer.add("r", one.message(), at(start)));
    REQUIRE(writer.publish("1"));
    REQUIRE(writer.add("r", one.message(), at(start)));
    REQUIRE(writer.abort());
    CHECK(folder.names().size() == 3);
    CHECK(writer.recover("0") == size_t{1});
    CHECK(folder.names().empty());
}

}  // namespace
}  // namespace penstock::archive
