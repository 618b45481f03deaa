#include "flow/reject_view.h"

#include <fmt/format.h>

namespace penstock::flow {

Error RejectView::name_taken() const {
    return {.kind = ErrorKind::configuration,
            .code = "rejects_name_taken",
            .message = fmt::format("{} is there already, and is no view that Penstock made of rejects", table),
            .where = place,
            .hint = "give `rejects` another `table`, or remove what has this name"};
}

std::optional<RejectView> reject_view(const config::PipelineConfig& pipeline) {
    if (!pipeline.rejects) return std::nullopt;
    // Names of pipelines are letters, digits, `_` and `-`. Those of the rows of a `for_each` begin with its own.
    const auto& name = pipeline.origin.empty() ? pipeline.name : pipeline.origin;
    std::string condition = fmt::format("pipeline = '{}'", name);
    if (pipeline.row_of) condition += fmt::format(" OR starts_with(pipeline, '{}--')", name);
    const auto& table = pipeline.rejects->table;
    return RejectView{.table = table.value,
                      .condition = std::move(condition),
                      .comment = fmt::format("{}{}{}", reject_view_mark, name, pipeline.row_of ? " and its rows" : ""),
                      .place = table.place.text()};
}

}  // namespace penstock::flow
