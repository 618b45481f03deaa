#pragma once

#include <nlohmann/json_fwd.hpp>

#include "app/http/api_route.h"

namespace penstock::app::http {

/// What people do through the API. Each leaves its work to the scheduler or to a command of ours, so that it is done the same way
/// as by hand.
Result<nlohmann::ordered_json> run_pipeline(const ApiCall& call);
Result<nlohmann::ordered_json> pause_pipeline(const ApiCall& call);
Result<nlohmann::ordered_json> resume_pipeline(const ApiCall& call);
Result<nlohmann::ordered_json> backfill_pipeline(const ApiCall& call);
Result<nlohmann::ordered_json> replay_rejects(const ApiCall& call);
Result<nlohmann::ordered_json> discard_rejects(const ApiCall& call);

}  // namespace penstock::app::http
