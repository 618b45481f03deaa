#include "check/result_json.h"

#include <nlohmann/json.hpp>

namespace penstock::check {
namespace {

using Json = nlohmann::ordered_json;

Json parsed(const std::string& text) {
    auto json = Json::parse(text.empty() ? "{}" : text, nullptr, false);
    return json.is_object() ? json : Json::object();
}

Json one_json(const flow::Validation& one) {
    Json result = parsed(one.result);
    Json raised = result.contains("exception") ? result["exception"] : Json(nullptr);
    result.erase("exception");
    return {
        {"success", one.success},
        {"expectation_config",
         {{"type", one.expectation},
          {"kwargs", parsed(one.kwargs)},
          {"meta", {{"name", one.check}, {"on_fail", one.on_fail}, {"rows", one.rows}}},
          {"severity", one.severity}}},
        {"result", result},
        {"meta", Json::object()},
        {"exception_info",
         {{"raised_exception", !raised.is_null()}, {"exception_traceback", nullptr}, {"exception_message", raised}}}};
}

}  // namespace

Json result_json(const std::string& suite, const std::vector<flow::ValidationRecord>& records) {
    Json results = Json::array();
    int64_t good = 0, all = static_cast<int64_t>(records.size());
    for (const auto& record : records) {
        good += record.validation.success ? 1 : 0;
        results.push_back(one_json(record.validation));
    }
    Json meta = Json::object();
    if (!records.empty())
        meta = {{"pipeline", records.front().pipeline},
                {"run_id", records.front().run_id},
                {"table", records.front().validation.table},
                {"target", records.front().validation.target},
                {"published", records.front().published},
                {"validation_time", iso_time(records.front().validation.evaluated_at)}};
    return {{"success", good == all},
            {"results", results},
            {"suite_name", suite},
            {"suite_parameters", Json::object()},
            {"statistics",
             {{"evaluated_expectations", all},
              {"successful_expectations", good},
              {"unsuccessful_expectations", all - good},
              {"success_percent",
               all == 0 ? Json(nullptr) : Json(100.0 * static_cast<double>(good) / static_cast<double>(all))}}},
            {"meta", meta},
            {"id", nullptr}};
}

}  // namespace penstock::check
