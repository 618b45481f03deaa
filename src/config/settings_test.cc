#include "config/settings.h"

#include <doctest/doctest.h>

namespace penstock::config {
namespace {

Result<PipelineSettings> settings(const std::string& yaml, PipelineSettings initial = {}) {
    auto node = load_text(yaml, "a.yaml");
    REQUIRE(node);
    return settings_spec().parse(*node, std::move(initial));
}

TEST_CASE("settings have defaults") {
    auto made = settings("{}");
    REQUIRE(made);
    CHECK(made->memory.count == 512u << 20);
    CHECK(made->parallel.automatic());
    CHECK(made->retries.max == 3);
    CHECK_FALSE(made->on_reject);
    CHECK_FALSE(made->max_rejects.rows);
    CHECK(to_string(made->numeric.of("t", "c")) == "decimal(38,9)");
}

TEST_CASE("a pipeline's settings lie over the defaults, key by key") {
    auto defaults = settings(
        "{memory: 1GiB, retries: {delay: 9s, max: 5}, numeric: {a: text, '*': double}, statement_timeout: 1m}");
    REQUIRE(defaults);
    auto own = settings("{retries: {max: 1}, numeric: {b: 'decimal(10,2)'}, parallel: 4, max_rejects: 100}", *defaults);
    REQUIRE(own);
    CHECK(own->memory.count == 1u << 30);
    CHECK(own->retries.max == 1);
    CHECK(own->retries.delay == std::chrono::seconds(9));
    CHECK(own->parallel.threads == 4);
    CHECK(own->max_rejects.rows == 100);
    CHECK(to_string(own->numeric.of("t", "a")) == "text");
    CHECK(to_string(own->numeric.of("t", "b")) == "decimal(10,2)");
    CHECK(to_string(own->numeric.of("t", "c")) == "double");
    CHECK(own->statement_timeout == std::chrono::minutes(1));
}

TEST_CASE("the other form of a reject limit replaces the one of the defaults") {
    auto defaults = settings("{max_rejects: 100}");
    REQUIRE(defaults);
    auto own = settings("{max_rejects: 0.1%}", *defaults);
    REQUIRE(own);
    CHECK_FALSE(own->max_rejects.rows);
    CHECK(own->max_rejects.share == doctest::Approx(0.001));
}

TEST_CASE("a table's column wins over a column of any table") {
    auto made = settings("{numeric: {price: text, orders.price: 'decimal( 20, 4 )'}}");
    REQUIRE(made);
    CHECK(to_string(made->numeric.of("orders", "price")) == "decimal(20,4)");
    CHECK(to_string(made->numeric.of("items", "price")) == "text");
    CHECK(to_string(made->numeric.of("items", "weight")) == "decimal(38,9)");
}

TEST_CASE("policies may be null by name") {
    auto made = settings("{special_numbers: null, special_dates: clamp, on_reject: continue}");
    REQUIRE(made);
    CHECK(made->special_numbers == SpecialNumbers::null);
    CHECK(made->special_dates == SpecialDates::clamp);
    CHECK(made->on_reject == OnReject::go_on);
}

TEST_CASE("mistakes in settings") {
    struct Case {
        std::string yaml, error;
    };
    for (const Case& one : std::vector<Case>{
             {"{parallel: 0}",
              "error: parallel: '0' is not a number of threads\n  at: a.yaml:1:12\n  hint: write auto, or a number "
              "from 1 to 256"},
             {"{parallel: lots}",
              "error: parallel: 'lots' is not a number of threads\n  at: a.yaml:1:12\n  hint: write auto, or a number "
              "from 1 to 256"},
             {"{max_rejects: 101%}",
              "error: max_rejects: '101%' is neither a count nor a share\n  at: a.yaml:1:15\n  hint: write a count "
              "such as 100, or a share of the rows such as 0.1%"},
             {"{max_rejects: -1}",
              "error: max_rejects: '-1' is neither a count nor a share\n  at: a.yaml:1:15\n  hint: write a count such "
              "as 100, or a share of the rows such as 0.1%"},
             {"{numeric: 'decimal(39,1)'}",
              "error: numeric: 'decimal(39,1)' is not a form for numbers\n  at: a.yaml:1:11\n  hint: write "
              "decimal(p,s) with p up to 38 and s up to p, text, or double"},
             {"{numeric: {a: 'decimal(4,5)'}}",
              "error: numeric.a: 'decimal(4,5)' is not a form for numbers\n  at: a.yaml:1:15\n  hint: write "
              "decimal(p,s) with p up to 38 and s up to p, text, or double"},
             {"{on_reject: halt}", "error: on_reject: 'halt' is not a choice (stop, continue)\n  at: a.yaml:1:13"},
             {"{retries: {max: 101}}", "error: retries.max: '101' is too large; the most is 100\n  at: a.yaml:1:17"},
             {"{budget: {daily_usd: -1}}",
              "error: budget.daily_usd: '-1' is too small; the least is 0\n  at: a.yaml:1:22"}}) {
        CAPTURE(one.yaml);
        auto made = settings(one.yaml);
        REQUIRE_FALSE(made);
        CHECK(made.error().text() == one.error);
    }
}

}  // namespace
}  // namespace penstock::config
