#pragma once

#include <stop_token>
#include <string>

#include "app/pipeline.h"

namespace penstock::app {

/// Lets a stream's target get to a position of its source: by a run that drains it, or, where another process reads the stream,
/// by waiting until that has confirmed the position.
Status catch_up(const config::Document& document, Pipeline& pipeline, const std::string& position,
                std::stop_token stop);

}  // namespace penstock::app
