#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <vector>

#include "config/step.h"
#include "engine/database.h"
#include "transform/steps/stage.h"

namespace penstock::steps {

/// What the steps are planned and run with.
struct Tools {
    engine::Database& database;
    std::filesystem::path directory;  ///< of the configuration file
    std::stop_token stop;
};

using Stages = std::vector<std::unique_ptr<Stage>>;

/// The stages of one table: those steps that are for it, in their order. None where no step is.
Result<Stages> plan_stages(const std::vector<config::Located<config::Step>>& steps, const flow::TableInfo& info,
                           const Tools& tools);

}  // namespace penstock::steps
