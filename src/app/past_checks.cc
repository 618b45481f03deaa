#include "app/past_checks.h"

#include <algorithm>

#include "app/project.h"
#include "check/compare.h"

namespace penstock::app {
namespace {

constexpr int runs_at_once = 50;

/// Nothing of a run that has no such check, or found no number.
std::optional<double> number_of(const state::RunRecord& run, const std::string& table, const std::string& series) {
    if (run.status != "success") return {};
    for (const auto& of : run.tables)
        for (const auto& record : of.validations) {
            if (of.source != table || !record.published || record.validation.series != series) continue;
            if (auto found = check::number_found(record.validation.observed)) return found;
        }
    return {};
}

}  // namespace

Result<std::vector<double>> PastChecks::numbers(const std::string& table, const std::string& series, size_t most) {
    std::scoped_lock held(mutex_);
    std::vector<double> found;
    for (size_t i = 0; found.size() < most; ++i) {
        if (i == runs_.size() && !all_read_) PN_CHECK(read_more());
        if (i == runs_.size()) break;
        if (auto number = number_of(runs_[i], table, series)) found.push_back(*number);
    }
    return found;
}

Status PastChecks::read_more() {
    PN_TRY(auto store, look_at_state(document_));
    all_read_ = true;
    if (!store) return {};
    PN_TRY(auto more, store->runs(runs_at_once, pipeline_, runs_.empty() ? "" : runs_.back().run_id));
    all_read_ = more.size() < runs_at_once;
    std::ranges::move(more, std::back_inserter(runs_));
    return {};
}

}  // namespace penstock::app
