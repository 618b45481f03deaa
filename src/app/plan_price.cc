#include "app/plan_price.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/humane.h"
#include "config/cron.h"

namespace penstock::app {
namespace {

constexpr double days_a_month = 1461.0 / 48;

/// How often it runs: by its schedule; a stream that follows commits as often as it may.
void count_runs(const Pipeline& pipeline, PlannedPrice& price) {
    const auto& schedule = pipeline.config().schedule.value;
    auto every = std::chrono::duration<double>(pipeline.commit_every());
    if (pipeline.follows() && every.count() > 0) {
        price.basis = "commit_every";
        price.runs_a_month = days_a_month * 86400 / every.count();
    } else if (schedule.empty()) {
        price.basis = "once a day";
        price.runs_a_month = days_a_month;
    } else {
        price.basis = "schedule";
        price.runs_a_month = config::runs_a_month(schedule);
    }
}

std::string how_often(const PlannedPrice& price) {
    if (price.basis == "commit_every") return fmt::format("with {:.0f} commits at most", *price.runs_a_month);
    if (price.basis == "schedule") return fmt::format("with {:.1f} runs", *price.runs_a_month);
    return "if it runs once a day";
}

}  // namespace

std::optional<PlannedPrice> planned_price(const Pipeline& pipeline, const std::vector<flow::Expected>& expected) {
    if (expected.empty()) return std::nullopt;
    PlannedPrice price{.daily_usd = pipeline.config().budget.daily_usd};
    for (const auto& one : expected) {
        if (one.charge) price.run += *one.charge;
        else price.unknown.push_back(one.table);
    }
    count_runs(pipeline, price);
    return price;
}

nlohmann::ordered_json price_json(const PlannedPrice& price) {
    using Json = nlohmann::ordered_json;
    auto number = [](const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); };
    std::optional<double> month;
    if (price.runs_a_month) month = *price.runs_a_month * price.run.usd;
    return {
        {"bytes_billed", price.run.bytes_billed},       {"usd", price.run.usd},     {"not_known", price.unknown},
        {"runs_per_month", number(price.runs_a_month)}, {"runs_from", price.basis}, {"usd_per_month", number(month)},
        {"daily_usd", number(price.daily_usd)}};
}

std::string price_text(const PlannedPrice& price) {
    std::string text =
        fmt::format("about {} billed, {} USD {}", humane_bytes(static_cast<uint64_t>(price.run.bytes_billed)),
                    flow::usd_text(price.run.usd), price.basis == "commit_every" ? "a commit" : "a run");
    if (price.runs_a_month)
        text +=
            fmt::format("; {} USD a month {}", flow::usd_text(price.run.usd * *price.runs_a_month), how_often(price));
    if (price.daily_usd) text += fmt::format("; its budget is {} USD a day", flow::usd_text(*price.daily_usd));
    if (!price.unknown.empty())
        text += fmt::format("; without {}, whose price is known once it runs", fmt::join(price.unknown, ", "));
    return text;
}

}  // namespace penstock::app
