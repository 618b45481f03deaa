#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/pipeline.h"
#include "flow/ledger.h"

namespace penstock::app {

/// The ledgers of the targets that these pipelines write to, each target once.
Result<std::vector<std::unique_ptr<flow::Ledger>>> open_ledgers(const std::vector<Pipeline>& pipelines);

/// Where messages lie that were refused for good (`penstock serve`); null where no pipeline has a trigger.
std::unique_ptr<flow::Ledger> open_trigger_ledger(const config::Document& document);

}  // namespace penstock::app
