// What `checks` of a pipeline are to its runs.
#include <fmt/format.h>

#include <algorithm>

#include "app/other_table.h"
#include "app/past_checks.h"
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
        if (const auto* other = one.kwargs.find("same_as"))
            PN_CHECK(OtherTable(*document_, *config_, *other, {}).validate());
        if (const auto* other = one.kwargs.find("other_table_name")) {
            auto same_as = config::Node::map({{"table", other->place, *other}});
            PN_CHECK(OtherTable(*document_, *config_, same_as, {}).validate());
        }
        PN_CHECK(validate_last(one));
        if (one.rows == config::CheckedRows::batch && is_stream() && one.kwargs.find("last") != nullptr)
            return fail(check::mistake(
                one.place, "check_not_of_runs",
                fmt::format("{}: what one commit of a stream brings is not comparable with runs (check {})", name(),
                            one.title()),
                "ask the target's table: `rows: table`"));
        if (one.rows == config::CheckedRows::batch && is_stream() && !is_routed())
            return fail(check::mistake(
                one.place, "check_not_for_changes",
                fmt::format("{}: checks of changes on their way are not there in this version (check {})", name(),
                            one.title()),
                "ask the target's table after each commit: `rows: table`"));
    }
    return {};
}

/// Runs that never end, or are forgotten, would leave it without anything to compare with, for ever.
Status Pipeline::validate_last(const check::Expectation& one) const {
    const auto* last = one.kwargs.find("last");
    if (last == nullptr || last->is_null()) return {};
    if (config_->run == config::RunKind::follow)
        return fail(check::mistake(
            one.place, "check_not_of_runs",
            fmt::format("{}: one that follows its stream has no runs to compare (check {})", name(), one.title()),
            "drain it by a schedule, or compare with another table: `same_as`"));
    if (std::strtoll(last->text.c_str(), nullptr, 10) <= config_->keep_runs) return {};
    return fail(
        check::mistake(one.place, "check_not_of_runs",
                       fmt::format("{}: only {} runs are kept (check {})", name(), config_->keep_runs, one.title()),
                       "raise `keep_runs`, or compare with fewer"));
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
                                                            std::shared_ptr<flow::ValidationLog> log, bool some_rows,
                                                            std::shared_ptr<flow::Purse> purse) const {
    if (!source || config_->checks.empty()) return source;
    PN_TRY(auto all, expectations());
    std::erase_if(all, [&](const auto& one) {
        bool of_rows = check::known_expectation(one.type)->family == check::Family::rows;
        return one.rows != config::CheckedRows::batch || (some_rows && !of_rows);
    });
    if (all.empty()) return source;
    engine::Settings settings{.threads = source_.parallel, .memory_limit_bytes = source_.memory_bytes / 4};
    bool narrowed = source_.bounds.any() || source_.as_of || some_rows;
    return std::make_unique<check::CheckedSource>(std::move(*source), std::move(all), reference(std::move(purse)),
                                                  narrowed, std::move(settings), std::move(log));
}

check::Reference Pipeline::reference(std::shared_ptr<flow::Purse> purse) const {
    check::Reference made{.own_connection = config_->target_connection};
    auto runs = std::make_shared<PastChecks>(*document_, name());
    made.past = [runs](const std::string& table, const std::string& series, size_t most) {
        return runs->numbers(table, series, most);
    };
    made.elsewhere = [this, purse = std::move(purse)](const config::Node& same_as, std::stop_token stop) {
        return OtherTable(*document_, *config_, same_as, purse).number(std::move(stop));
    };
    return made;
}

void Pipeline::check_tables_of(flow::RunRequest& request) const {
    if (request.validations == nullptr) return;
    // Read once, suites among them: a stream asks at every commit.
    request.check_table = [all = expectations(), log = request.validations, beyond = reference(request.purse)](
                              flow::CheckedTarget& asked, const flow::TableTarget& target) -> Status {
        if (!all) return fail(all.error());
        auto some = check::expectations_of(*all, target.info.name, config::CheckedRows::table);
        if (some.empty()) return {};
        PN_TRY(auto table, asked.asked(target.name));
        if (!table) return {};
        return check::check_whole_table(some, beyond.of(target.info.name), *table, *log, asked.asked_after_commit());
    };
    bool planned = request.identity.run_id.empty();
    if (!planned && !config_->budget.max_bytes_billed && !config_->budget.daily_usd) return;
    request.price_checks = [this, purse = request.purse, planned](flow::CheckedTarget* asked,
                                                                  const flow::TableTarget& target) {
        return price_checks(asked, target, purse, planned);
    };
}

Result<std::optional<flow::Expected>> Pipeline::price_checks(flow::CheckedTarget* asked,
                                                             const flow::TableTarget& target,
                                                             const std::shared_ptr<flow::Purse>& purse,
                                                             bool planned) const {
    PN_TRY(auto all, expectations());
    for (auto rows : {config::CheckedRows::batch, config::CheckedRows::table})
        for (const auto& one : check::expectations_of(all, target.info.name, rows))
            if (const auto* other = one.kwargs.find("same_as"); planned && other != nullptr)
                PN_CHECK(OtherTable(*document_, *config_, *other, purse).price());
    auto some = check::expectations_of(all, target.info.name, config::CheckedRows::table);
    if (asked == nullptr || some.empty()) return std::optional<flow::Expected>();
    flow::Expected expected{.table = "checks of " + target.name, .charge = {}};
    PN_TRY(auto table, asked->asked(target.name));
    if (table) {
        PN_TRY(expected.charge, check::price_of(some, *table));
    }
    return std::optional(std::move(expected));
}

}  // namespace penstock::app
