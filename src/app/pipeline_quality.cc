// What `checks` of a pipeline are to its runs.
#include <fmt/format.h>

#include <algorithm>

#include "app/pipeline.h"
#include "check/checked_source.h"

namespace penstock::app {

namespace {

Error not_answered(const std::string& pipeline, const check::Expectation& expectation, std::string_view target) {
    return check::mistake(expectation.place, "check_not_answered",
                          fmt::format("{}: a {} target cannot be asked about all of its table (check {})", pipeline,
                                      target, expectation.title()),
                          "ask the batch: `rows: batch`");
}

}  // namespace

Status Pipeline::validate_checks() const {
    PN_TRY(auto all, expectations());
    for (const auto& one : all) {
        if (one.rows == config::CheckedRows::table && !target_component_->answers_checks)
            return fail(not_answered(name(), one, target_component_->type));
        if (one.rows == config::CheckedRows::batch && is_stream() && !is_routed())
            return fail(check::mistake(
                one.place, "check_not_for_changes",
                fmt::format("{}: checks of changes on their way are not there in this version (check {})", name(),
                            one.title()),
                "ask the target's table after each commit: `rows: table`"));
    }
    return {};
}

/// A check must not go unasked.
Status Pipeline::check_answers(flow::Sink& sink) const {
    if (config_->checks.empty() || sink.checked() != nullptr) return {};
    PN_TRY(auto all, expectations());
    auto found = std::ranges::find(all, config::CheckedRows::table, &check::Expectation::rows);
    return found == all.end() ? Status() : fail(not_answered(name(), *found, target_component_->type));
}

Result<std::vector<check::Expectation>> Pipeline::expectations() const { return check::read_checks(config_->checks); }

bool Pipeline::any_check_rejects() const {
    auto all = expectations();
    return all && std::ranges::any_of(*all, [](const auto& one) { return one.on_fail == config::OnFail::reject; });
}

/// Of single rows read again, only what is asked of each.
Result<std::unique_ptr<flow::Source>> Pipeline::with_checks(Result<std::unique_ptr<flow::Source>> source,
                                                            std::shared_ptr<flow::ValidationLog> log,
                                                            bool some_rows) const {
    if (!source || config_->checks.empty()) return source;
    PN_TRY(auto all, expectations());
    std::erase_if(all, [&](const auto& one) {
        bool of_rows = check::known_expectation(one.type)->family == check::Family::rows;
        return one.rows != config::CheckedRows::batch || (some_rows && !of_rows);
    });
    if (all.empty()) return source;
    engine::Settings settings{.threads = source_.parallel, .memory_limit_bytes = source_.memory_bytes / 4};
    return std::make_unique<check::CheckedSource>(std::move(*source), std::move(all), std::move(settings),
                                                  std::move(log));
}

std::function<Status(flow::CheckedTarget&, const flow::TableTarget&)> Pipeline::table_checks(
    std::shared_ptr<flow::ValidationLog> log) const {
    // Read once, suites among them: a stream asks at every commit.
    return [all = expectations(), log = std::move(log)](flow::CheckedTarget& asked,
                                                        const flow::TableTarget& target) -> Status {
        if (!all) return fail(all.error());
        auto some = check::expectations_of(*all, target.info.name, config::CheckedRows::table);
        if (some.empty()) return {};
        PN_TRY(auto table, asked.asked(target.name));
        if (!table) return {};
        return check::check_whole_table(some, target.info.name, *table, *log, asked.asked_after_commit());
    };
}

}  // namespace penstock::app
