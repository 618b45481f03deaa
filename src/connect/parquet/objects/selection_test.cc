#include "connect/parquet/objects/selection.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "connect/parquet/objects/records.h"
#include "transform/archive/test_archive.h"

namespace penstock::parquet {
namespace {

bool fits(const char* pattern, const char* name) {
    auto glob = Glob::parse(pattern);
    REQUIRE(glob);
    return glob->matches(name);
}

io::ObjectInfo object(const std::string& name, int64_t seconds, uint64_t size = 1) {
    return {.name = name, .size = size, .modified = TimePoint(std::chrono::seconds(seconds))};
}

TEST_CASE("a star stays in its folder, two do not") {
    CHECK(fits("in/*.csv", "in/a.csv"));
    CHECK_FALSE(fits("in/*.csv", "in/x/a.csv"));
    CHECK_FALSE(fits("in/*.csv", "in/a.csv.gz"));
    CHECK(fits("in/**/*.csv", "in/a.csv"));
    CHECK(fits("in/**/*.csv", "in/x/y/a.csv"));
    CHECK(fits("**", "a/b"));
    CHECK(fits("in/dt=20?6-1?-*/*", "in/dt=2026-11-21/a"));
    CHECK_FALSE(fits("in/?", "in/"));
    CHECK_FALSE(fits("in?a", "in/a"));
    CHECK_FALSE(fits("in/**", "in/_tmp/a"));
    CHECK_FALSE(fits("in/*", "in/.a.csv"));
    CHECK(fits("in/_done/*", "in/_done/a"));
    CHECK(Glob::parse("in/x/*.csv")->folder() == "in/x/");
    CHECK(Glob::parse("a?/b")->folder().empty());
    CHECK(Glob::parse("in/a.csv.gz")->extension() == "csv");
    CHECK(Glob::parse("in.d/a")->extension().empty());
    for (const char* bad : {"", "/a", "a/", "../a", "a/../b", "a/.."}) CHECK_FALSE(Glob::parse(bad));
}

TEST_CASE("what was taken is known again, by name, and by number where it is long ago") {
    Taken taken(100);
    for (int i = 0; i < 1000; ++i) taken.add(object(fmt::format("in/{}", i), 1000 + i));
    auto back = Taken::parse(taken.to_json(), 100);
    REQUIRE(back);
    CHECK(back->to_json() == taken.to_json());
    CHECK(taken.to_json().size() < 100 * 22 + 100);
    CHECK(back->look(object("in/999", 1999)) == Taken::Is::taken);
    CHECK(back->look(object("in/999", 1999, 2)) == Taken::Is::changed);
    CHECK(back->look(object("in/999", 2000)) == Taken::Is::changed);
    CHECK(back->look(object("in/0", 1000)) == Taken::Is::older);
    CHECK(back->look(object("in/new", 3000)) == Taken::Is::fresh);
    CHECK(back->forgotten() >= 900);
    back->forget_down_to(5);
    CHECK(back->forgotten() == 5);
    CHECK(back->look(object("in/new", 1001)) == Taken::Is::older);
    for (const char* bad :
         {"", "{}", "[]", R"({"taken":"%","until":0,"before":0})", R"({"taken":"AAAA","until":0,"before":0})"})
        CHECK_FALSE(Taken::parse(bad, 100));
}

std::vector<std::string> elements(const std::string& json, size_t most = 1000) {
    archive::TestFolder folder;
    REQUIRE(folder.store->put("a.json", json));
    auto content = Content::open(*folder.store, "a.json");
    REQUIRE(content);
    auto records = element_records(std::move(*content), most);
    std::vector<std::string> found;
    Record record;
    for (;;) {
        auto more = records->next(record);
        if (!more) found.push_back(more.error().code);
        if (!more || !*more) return found;
        found.push_back(std::string(record.text) + (record.cut ? "…" : ""));
    }
}

TEST_CASE("elements of an array, and values one after the other") {
    using Texts = std::vector<std::string>;
    CHECK(elements(R"([{"a":"]},{"}, [1,[2]], "x,\"y]", 5 , null])") ==
          Texts{R"({"a":"]},{"})", "[1,[2]]", R"("x,\"y]")", "5", "null"});
    CHECK(elements("{\"a\":1}\n{\"b\":{}}{}  [3]") == Texts{R"({"a":1})", R"({"b":{}})", "{}", "3"});
    CHECK(elements("\xEF\xBB\xBF[]").empty());
    CHECK(elements("").empty());
    CHECK(elements(R"([{"a":"0123456789"},1])", 5) == Texts{R"({"a":")"
                                                            "…",
                                                            "1"});
    for (const char* bad : {"[1", "[1,", "[1,]", "[,1]", "[1 2]", "[{}{}]", "{\"a\":", "]", "}", ",1", "[\"a"})
        CHECK(elements(bad).back() == "object_damaged");
}

}  // namespace
}  // namespace penstock::parquet
