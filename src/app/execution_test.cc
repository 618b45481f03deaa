#include "app/execution.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "app/run_json.h"
#include "app/run_text.h"

using namespace penstock;
using namespace penstock::app;

namespace {

flow::RunResult ended(const std::string& pipeline, flow::RunStatus status) {
    flow::RunResult result;
    result.identity = {.pipeline = pipeline, .run_id = "r1"};
    result.status = status;
    return result;
}

config::PipelineConfig waiting_for(std::vector<std::string> names) {
    config::PipelineConfig config;
    for (auto& name : names) config.after.push_back({.value = std::move(name)});
    return config;
}

}  // namespace

TEST_CASE("a pipeline runs only after success of those it waits for that are part of the run") {
    std::vector<flow::RunResult> earlier = {ended("good", flow::RunStatus::success),
                                            ended("bad", flow::RunStatus::failed),
                                            ended("left_out", flow::RunStatus::skipped)};
    CHECK(unmet(waiting_for({"good"}), earlier).empty());
    CHECK(unmet(waiting_for({"not_in_this_run"}), earlier).empty());
    CHECK(unmet(waiting_for({"good", "bad"}), earlier) == std::vector<std::string>{"bad"});
    CHECK(unmet(waiting_for({"left_out"}), earlier) == std::vector<std::string>{"left_out"});
}

TEST_CASE("a skipped pipeline says whom it waited for") {
    auto result = skipped("report", {"orders"});
    CHECK(result.status == flow::RunStatus::skipped);
    auto json = run_json(result);
    CHECK(json["run_id"].is_null());
    CHECK(json["status"] == "skipped");
    CHECK(json["error"]["code"] == "dependency_failed");
    CHECK(json["error"]["message"].get<std::string>().find("orders") != std::string::npos);
}

TEST_CASE("counts of a run are the sums of its tables, and only one table has one cursor") {
    auto result = ended("shop", flow::RunStatus::success);
    result.tables.push_back({.source = "public.a",
                             .target = "shop.a",
                             .counts = {.rows_read = 5, .rows_written = 4, .rows_rejected = 1},
                             .checkpoint = {.cursor_from = "1", .cursor_to = "9", .position = ""},
                             .decisions = {},
                             .notes = {}});
    auto json = run_json(result);
    CHECK(json["cursor"]["to"] == "9");
    CHECK(json["tables"][0]["table"] == "public.a");
    result.tables.push_back({.source = "public.b",
                             .target = "shop.b",
                             .counts = {.rows_read = 2, .rows_filtered = 2},
                             .checkpoint = {},
                             .decisions = {},
                             .notes = {}});
    json = run_json(result);
    CHECK(json["rows_read"] == 7);
    CHECK(json["rows_read"] == json["rows_written"].get<int64_t>() + json["rows_rejected"].get<int64_t>() +
                                   json["rows_filtered"].get<int64_t>());
    CHECK(json["cursor"]["to"].is_null());
    CHECK(json["error"].is_null());
}

TEST_CASE("the text of a run tells where rejected rows are to be found") {
    auto result = ended("shop", flow::RunStatus::success);
    result.tables.push_back({.source = "public.a",
                             .target = "shop.a",
                             .counts = {.rows_read = 5000, .rows_written = 4999, .rows_rejected = 1},
                             .checkpoint = {},
                             .decisions = {},
                             .notes = {}});
    auto text = runs_text({result});
    CHECK(text.find("5,000") != std::string::npos);
    CHECK(text.find("1 row was rejected: `penstock rejects list shop` says why") != std::string::npos);
    result.tables[0].counts.rows_rejected = 0;
    CHECK(runs_text({result}).find("rejects list") == std::string::npos);
}
