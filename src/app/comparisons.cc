#include "app/comparisons.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "app/project.h"

namespace penstock::app {
namespace {

using state::Measure;

const std::string all_at_once = "1/1";

std::string text_of(const verify::Part& part) { return fmt::format("{}/{}", part.number, part.of); }

int64_t parts_in(const std::string& text) {
    int64_t parts = 0;
    auto slash = text.find('/') + 1;
    std::from_chars(text.data() + slash, text.data() + text.size(), parts);
    return parts;
}

/// Amounts by part.
using ByPart = std::map<std::string, int64_t>;

ByPart amounts(const std::vector<Measure>& all, const std::string& pipeline, Measure::Kind kind) {
    ByPart found;
    for (const auto& one : all)
        if (one.owner == pipeline && one.kind == kind) found[one.subject] = one.amount;
    return found;
}

Comparisons summary(const ByPart& times, const ByPart& found) {
    Comparisons out;
    int64_t parts = 1;
    for (const auto& [part, at] : times) parts = std::max(parts, parts_in(part));
    bool every = true;
    std::optional<int64_t> oldest;
    for (int64_t number = 1; number <= parts; ++number) {
        auto part = text_of({number, parts});
        auto at = times.find(part);
        if (at == times.end()) every = false;
        else oldest = std::min(oldest.value_or(at->second), at->second);
    }
    // Where parts are still missing, what was found when all of it was compared at once holds for them.
    auto before = parts > 1 && !every ? times.find(all_at_once) : times.end();
    if (before != times.end()) oldest = std::min(oldest.value_or(before->second), before->second);
    if (oldest && (every || before != times.end())) out.since = TimePoint(std::chrono::microseconds(*oldest));
    for (const auto& [part, count] : found) {
        if (count == 0 || (part == all_at_once && parts > 1 && every)) continue;
        out.differences += count;
        out.differ.push_back(part);
    }
    return out;
}

Result<std::optional<state::Measures>> open_measures(const config::Document& document) {
    return state::Measures::open_existing(document.state.reveal(), document.state_directory);
}

}  // namespace

std::map<std::string, Comparisons> comparisons_of(const std::vector<state::Measure>& measures) {
    std::map<std::string, Comparisons> all;
    for (const auto& one : measures)
        if (one.kind == Measure::Kind::compared_at && !all.contains(one.owner))
            all[one.owner] = summary(amounts(measures, one.owner, Measure::Kind::compared_at),
                                     amounts(measures, one.owner, Measure::Kind::differences));
    return all;
}

Result<verify::Part> next_part(const config::Document& document, const std::string& pipeline, int64_t parts) {
    verify::Part next{.number = 1, .of = parts};
    if (parts == 1) return next;
    PN_TRY(auto measures, open_measures(document));
    if (!measures) return next;
    PN_TRY(auto all, measures->all());
    auto times = amounts(all, pipeline, Measure::Kind::compared_at);
    std::optional<int64_t> oldest;
    for (int64_t number = 1; number <= parts; ++number) {
        auto at = times.find(text_of({number, parts}));
        if (at == times.end()) return verify::Part{.number = number, .of = parts};
        if (oldest && at->second >= *oldest) continue;
        oldest = at->second;
        next.number = number;
    }
    return next;
}

/// The time is written last: a comparison that died in between is done again.
Status record_comparison(const config::Document& document, const std::string& pipeline, const verify::Part& part,
                         int64_t differences) {
    PN_CHECK(open_state(document));  // made where there is none: the target may be of another machine's runs
    PN_TRY(auto measures, open_measures(document));
    PN_TRY(auto all, measures->all());
    auto at = now();
    // What was found of parts of another size, or of parts where all was compared now, does not hold any more.
    bool others = std::ranges::any_of(all, [&](const Measure& one) {
        bool ours =
            one.owner == pipeline && (one.kind == Measure::Kind::differences || one.kind == Measure::Kind::compared_at);
        return ours && (part.all() || (one.subject != all_at_once && parts_in(one.subject) != part.of));
    });
    for (auto [kind, amount] : {std::pair(Measure::Kind::differences, differences),
                                std::pair(Measure::Kind::compared_at, int64_t{at.time_since_epoch().count()})}) {
        Measure now{.owner = pipeline, .kind = kind, .subject = text_of(part), .amount = amount, .measured_at = at};
        PN_CHECK(others ? measures->replace(pipeline, kind, std::span(&now, 1)) : measures->set(now));
    }
    return {};
}

}  // namespace penstock::app
