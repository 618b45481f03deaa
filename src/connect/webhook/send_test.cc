#include "connect/webhook/send.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace penstock::webhook {
namespace {

TEST_CASE("Slack gets a text in which nothing of the news has a meaning of its own") {
    nlohmann::ordered_json news = {{"id", "1"},
                                   {"title", "orders <failed>"},
                                   {"text", "a & b"},
                                   {"run_id", "r1"},
                                   {"error", {{"hint", "look > there"}}}};
    auto body = nlohmann::json::parse(body_of(Form::slack, news));
    CHECK(body ==
          nlohmann::json{{"text", "*orders &lt;failed&gt;*\na &amp; b\n_look &gt; there_\n`penstock runs r1`"}});
    CHECK(nlohmann::json::parse(body_of(Form::json, news)) == nlohmann::json(news));
}

TEST_CASE("a text that nobody would read to its end is cut between characters") {
    std::string text = "x";
    for (int i = 0; i < 3000; ++i) text += "ö";
    auto body = nlohmann::json::parse(body_of(Form::slack, {{"title", "t"}, {"text", text}}));
    CHECK(body["text"].get<std::string>().size() == std::string("*t*\n").size() + 2999 + std::string("…").size());
}

TEST_CASE("Slack's host is known by its name alone") {
    auto form = [](const char* url) {
        ConnectionOptions options;
        options.url = Secret(url);
        return form_of(options);
    };
    CHECK(form("https://hooks.slack.com/services/T/B/x") == Form::slack);
    CHECK(form("https://hooks.slack.com.example.com/services/T/B/x") == Form::json);
    CHECK(form("https://example.com/hooks.slack.com") == Form::json);
}

}  // namespace
}  // namespace penstock::webhook
