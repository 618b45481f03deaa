#include "app/http/kept_answers.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

namespace penstock::app::http {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> away() {
    return fail({.kind = ErrorKind::unavailable, .code = "away", .message = "the store is away", .hint = "wait"});
}

}  // namespace

TEST_CASE("an answer is kept until the state knows of something newer") {
    KeptAnswers kept;
    int asked = 0;
    auto ask = [&]() -> Result<Json> { return Json{{"n", ++asked}}; };
    for (int i = 0; i < 3; ++i) {
        auto answer = kept.get("a", "1", ask);
        REQUIRE(answer);
        CHECK((*answer)["n"] == 1);
        CHECK((*answer)["trouble"].is_null());
        CHECK((*answer)["asked_at"].is_string());
    }
    CHECK((*kept.get("b", "1", ask))["n"] == 2);
    CHECK((*kept.get("a", "2", ask))["n"] == 3);
}

TEST_CASE("where nobody answers, what was known is shown with the reason, and nobody is asked at once again") {
    KeptAnswers kept;
    int asked = 0;
    auto refuse = [&]() -> Result<Json> { return ++asked, away(); };
    for (int i = 0; i < 2; ++i) {
        auto answer = kept.get("a", "1", refuse);
        REQUIRE(!answer);
        CHECK(answer.error().code == "away");
    }
    CHECK(asked == 1);
    REQUIRE(kept.get("a", "2", [] { return Result<Json>(Json{{"n", 1}}); }));
    auto older = kept.get("a", "3", refuse);
    REQUIRE(older);
    CHECK((*older)["n"] == 1);
    CHECK((*older)["trouble"]["code"] == "away");
}

TEST_CASE("of those who ask at once one asks, and the others wait only where nothing is known") {
    KeptAnswers kept;
    std::promise<void> may_answer;
    auto allowed = may_answer.get_future().share();
    std::atomic<int> asked = 0;
    auto slow = [&]() -> Result<Json> {
        auto number = ++asked;
        allowed.wait();
        return Json{{"n", number}};
    };
    std::vector<std::future<Result<Json>>> all;
    for (int i = 0; i < 3; ++i) all.push_back(std::async(std::launch::async, [&] { return kept.get("a", "1", slow); }));
    while (asked == 0) std::this_thread::yield();
    CHECK((*kept.get("b", "1", [] { return Result<Json>(Json{{"n", 7}}); }))["n"] == 7);  // another place
    may_answer.set_value();
    for (auto& one : all) CHECK((*one.get())["n"] == 1);
    CHECK(asked == 1);

    std::promise<void> may_again;
    auto again = std::async(std::launch::async, [&] {
        return kept.get("a", "2", [&]() -> Result<Json> {
            ++asked;
            may_again.get_future().wait();
            return Json{{"n", 2}};
        });
    });
    while (asked == 1) std::this_thread::yield();
    CHECK((*kept.get("a", "2", slow))["n"] == 1);  // what was known before
    may_again.set_value();
    CHECK((*again.get())["n"] == 2);
}

}  // namespace penstock::app::http
