// What a pipeline gives to `verify`.
#include <fmt/format.h>

#include "app/pipeline.h"
#include "app/project.h"
#include "base/ids.h"

namespace penstock::app {
namespace {

Error not_comparable(const Pipeline& pipeline, std::string_view side, std::string_view type) {
    return {.kind = ErrorKind::usage,
            .code = "verify_not_available",
            .message = fmt::format("{}: a {} {} cannot be compared in this version", pipeline.name(), type, side),
            .where = pipeline.config().place.text(),
            .hint = "verify takes tables, queries and changes of PostgreSQL in DuckDB, Parquet and BigQuery"};
}

}  // namespace

Status Pipeline::check_comparable() const {
    if (is_work())  // which says so itself
        if (auto none = source_component_->compare_source(source_, {}); !none) return fail(std::move(none.error()));
    if (source_component_->compare_source == nullptr || is_routed())
        return fail(not_comparable(*this, "source", source_component_->type));
    if (target_component_->compare_target == nullptr)
        return fail(not_comparable(*this, "target", target_component_->type));
    return {};
}

Result<std::unique_ptr<flow::ComparedSource>> Pipeline::compare_source(std::stop_token stop) const {
    PN_CHECK(check_comparable());
    return source_component_->compare_source(source_, std::move(stop));
}

Result<std::unique_ptr<flow::ComparedTarget>> Pipeline::compare_target(std::stop_token stop) const {
    auto context = target_;
    auto may = request(new_run_id());  // what a run may bill, a comparison may, and it is on record
    PN_TRY(auto store, open_state(*document_));
    may.purse->keep_in(store.spending(may.identity));
    context.purse = may.purse;
    return target_component_->compare_target(context, std::move(stop));
}

Result<std::unique_ptr<flow::Slots>> Pipeline::open_slots(std::stop_token stop) const {
    return source_component_->open_slots(source_.connection, source_.directory, std::move(stop));
}

}  // namespace penstock::app
