#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/pipeline.h"
#include "flow/purse.h"

namespace penstock::app {

/// What a run of a pipeline costs, and a month of them.
struct PlannedPrice {
    flow::Charge run;                    ///< of a stream that follows: a commit
    std::vector<std::string> unknown;    ///< tables whose price is known only once they run
    std::optional<double> runs_a_month;  ///< nothing: its schedule does not say
    std::string basis;                   ///< where that is from: "schedule", "once a day", "commit_every"
    std::optional<double> daily_usd;     ///< its budget
};

/// Nothing where source and target charge nothing.
std::optional<PlannedPrice> planned_price(const Pipeline& pipeline, const std::vector<flow::Expected>& expected);

nlohmann::ordered_json price_json(const PlannedPrice& price);
std::string price_text(const PlannedPrice& price);

}  // namespace penstock::app
