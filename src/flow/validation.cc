#include "flow/validation.h"

#include <algorithm>

namespace penstock::flow {

void remember(std::vector<ValidationRecord>& known, ValidationRecord record) {
    const auto& fresh = record.validation;
    auto same = std::ranges::find_if(known, [&](const auto& other) {
        const auto& old = other.validation;
        return other.published == record.published && old.check == fresh.check && old.column == fresh.column &&
               old.rows == fresh.rows && old.expectation == fresh.expectation && old.kwargs == fresh.kwargs;
    });
    if (same == known.end()) {
        known.push_back(std::move(record));
        return;
    }
    auto& sum = same->validation;
    sum.element_count += fresh.element_count;
    sum.unexpected_count += fresh.unexpected_count;
    if (fresh.success) return;
    if (sum.success) sum.observed = fresh.observed, sum.unexpected_sample = fresh.unexpected_sample;
    sum.success = false;
}

}  // namespace penstock::flow
