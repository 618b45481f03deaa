#pragma once

#include <nlohmann/json_fwd.hpp>

#include "app/http/api_route.h"

namespace penstock::app::http {

/// What people see through the API, in the shape of what the commands print. Nothing is changed by any of these.
Result<nlohmann::ordered_json> show_open_api(const ApiCall& call);
Result<nlohmann::ordered_json> show_me(const ApiCall& call);
Result<nlohmann::ordered_json> list_pipelines(const ApiCall& call);
Result<nlohmann::ordered_json> show_pipeline(const ApiCall& call);
Result<nlohmann::ordered_json> list_runs(const ApiCall& call);
Result<nlohmann::ordered_json> show_run(const ApiCall& call);
Result<nlohmann::ordered_json> show_run_log(const ApiCall& call);
Result<nlohmann::ordered_json> list_rejects(const ApiCall& call);
Result<nlohmann::ordered_json> list_schema(const ApiCall& call);
Result<nlohmann::ordered_json> list_slots(const ApiCall& call);
Result<nlohmann::ordered_json> list_audit(const ApiCall& call);

}  // namespace penstock::app::http
