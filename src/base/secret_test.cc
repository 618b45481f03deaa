#include "base/secret.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/log_listener.h"
#include "base/redacted.h"

namespace penstock {
namespace {

TEST_CASE("a secret of several lines is found as a whole and line by line, and short lines are not") {
    remember_secret("-----BEGIN A KEY-----\r\nMIIEvQIBADANBgkq\nfalse\n-----END A KEY-----\n");
    CHECK(redact("it printed MIIEvQIBADANBgkq") == "it printed ***");
    CHECK(redact("a line: -----BEGIN A KEY-----") == "a line: ***");
    CHECK(redact("false") == "false");
}

TEST_CASE("JSON is redacted by its texts, so that it stays JSON and a secret with quotes is found") {
    remember_secret("with \"quotes\"");
    remember_secret("1000");
    nlohmann::ordered_json json = {{"rows", 1000}, {"said", {"it is with \"quotes\"", true}}, {"1000", "1000"}};
    CHECK(redacted(json).dump() == R"({"rows":1000,"said":["it is ***",true],"1000":"***"})");
}

TEST_CASE("a line of the log is redacted by its texts, too") {
    remember_secret("pa\"ss\\wd");
    remember_secret("metadata");
    std::string heard;
    log::Listener listener("", true, [&](std::string line) { heard = std::move(line); });
    log::write(log::Level::info, "it is pa\"ss\\wd", R"({"metadata": "metadata", "said": "pa\"ss\\wd"})");
    auto line = nlohmann::json::parse(heard);
    CHECK(line["message"] == "it is ***");
    CHECK(line["metadata"].dump() == R"({"metadata":"***","said":"***"})");
}

TEST_CASE("what is no UTF-8 is made so") {
    CHECK(valid_text("caf\xe9!") == "caf\xef\xbf\xbd!");
    CHECK(valid_text("café") == "café");
}

}  // namespace
}  // namespace penstock
