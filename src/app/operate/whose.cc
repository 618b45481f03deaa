#include "app/operate/whose.h"

#include <algorithm>

namespace penstock::app {

const config::PipelineConfig* pipeline_behind(const config::Document& document, const std::string& name) {
    if (const auto* pipeline = document.pipeline(name)) return pipeline;
    // As for_each.cc names them: a long name is cut.
    auto found = std::ranges::find_if(document.pipelines, [&](const auto& one) {
        return one.for_each && (name.starts_with(one.name + "--") || name.starts_with(one.name.substr(0, 45) + "--"));
    });
    return found == document.pipelines.end() ? nullptr : &*found;
}

}  // namespace penstock::app
