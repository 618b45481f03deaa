#include "connect/http_api/page.h"

#include <doctest/doctest.h>

namespace penstock::http_api {
namespace {

struct Parsed {
    Result<std::unique_ptr<Page>> page;
    explicit Parsed(const std::string& text, const PagePaths& paths = {}) : page(parse(text, paths)) {}
    std::string code() const { return page ? "" : page.error().code; }

  private:
    static Result<std::unique_ptr<Page>> parse(const std::string& text, const PagePaths& paths) {
        events::JsonIndexer indexer;
        return Page::parse(text, paths, indexer);
    }
};

PagePaths at(const std::string& records) { return {.records_text = records, .records = json_path(records)}; }

}  // namespace

TEST_CASE("names on the way to a field") {
    CHECK(json_path("").empty());
    CHECK(json_path("a.b") == JsonPath{"a", "b"});
    CHECK(json_path("/@odata.nextLink") == JsonPath{"@odata.nextLink"});
    CHECK(json_path("/a~1b/c~0d~2") == JsonPath{"a/b", "c~d~2"});
}

TEST_CASE("records are counted where they are") {
    CHECK((*Parsed(" [ ] ").page)->records == 0);
    CHECK((*Parsed("\xEF\xBB\xBF[1, {}, [2], \"x\"]").page)->records == 4);
    CHECK((*Parsed(R"({"a": {"x": [9], "b": [{}, {}]}})", at("a.b")).page)->records == 2);
    CHECK((*Parsed(R"({"a": null})", at("a")).page)->records == 0);
    CHECK(Parsed(R"({"b": []})", at("a")).code() == "no_records");
    CHECK(Parsed(R"({"a": {}})", at("a")).code() == "no_records");
    CHECK(Parsed("null").code() == "no_records");
    auto maybe = at("a");
    maybe.records_may_be_missing = true;
    CHECK((*Parsed("{}", maybe).page)->records == 0);
}

TEST_CASE("half an answer is none") {
    std::string whole = R"({"items": [{"id": 1, "tags": ["x"]}, {"id": 2}], "next": "t"})";
    REQUIRE(Parsed(whole, at("items")).page);
    for (size_t size = 0; size < whole.size(); ++size) CHECK(!Parsed(whole.substr(0, size), at("items")).page);
    CHECK(Parsed(whole + "]", at("items")).code() == "bad_json");
    CHECK(Parsed("[1 2]").code() == "bad_json");
}

TEST_CASE("what an answer says of the next page") {
    PagePaths paths = at("items");
    paths.next = json_path("meta.next");
    paths.more = json_path("more");
    paths.total = json_path("total");
    Parsed full(R"({"items": [], "more": true, "meta": {"next": "a\u0062"}, "total": 17})", paths);
    REQUIRE(full.page);
    CHECK((*full.page)->next == "ab");
    CHECK((*full.page)->more == true);
    CHECK((*full.page)->total == 17);
    for (const char* none : {"null", "\"\"", "false", "{}"}) {
        Parsed last(std::string(R"({"items": [], "more": false, "meta": {"next": )") + none + "}}", paths);
        REQUIRE(last.page);
        CHECK(!(*last.page)->next);
        CHECK((*last.page)->more == false);
    }
    CHECK(Parsed(R"({"items": []})", paths).code() == "no_paging_field");
}

TEST_CASE("the last record's field") {
    PagePaths paths{.next = json_path("id"), .next_of_record = true};
    CHECK((*Parsed(R"([{"id": 1}, {"id": 22}])", paths).page)->next == "22");
    CHECK(!(*Parsed("[]", paths).page)->next);
}

}  // namespace penstock::http_api
