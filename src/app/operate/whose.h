#pragma once

#include <string>

#include "config/document.h"

namespace penstock::app {

/// The pipeline of the file that this name belongs to, which may be that of one for a row of `for_each`; null: of none. The document is
/// as `read_project` gives it.
const config::PipelineConfig* pipeline_behind(const config::Document& document, const std::string& name);

}  // namespace penstock::app
