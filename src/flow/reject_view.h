#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "config/pipeline.h"

namespace penstock::flow {

/// The view under which a target shows the rejects of a pipeline, or of all the rows of its `for_each`.
struct RejectView {
    std::string table;      ///< schema or dataset, and name
    std::string condition;  ///< over the bookkeeping's table of rejects, in SQL that every engine reads
    std::string comment;    ///< what the view is marked with; only one marked so is replaced
    std::string place;      ///< in the configuration

    /// Something else has the view's name.
    Error name_taken() const;
};

/// What all marks begin with.
inline constexpr std::string_view reject_view_mark = "Penstock's rejects of pipeline ";

/// Nothing of a pipeline without `rejects`.
std::optional<RejectView> reject_view(const config::PipelineConfig& pipeline);

}  // namespace penstock::flow
