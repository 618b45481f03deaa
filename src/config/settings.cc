#include "config/settings.h"

#include <fmt/format.h>

#include "config/parse_whole.h"

namespace penstock::config {
namespace {

Error refused(std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .hint = std::move(hint)};
}

Result<Parallel> parse_parallel(std::string_view text) {
    static constexpr int64_t most = 256;
    Parallel parallel;
    if (text == "auto") return parallel;
    if (parse_whole(text, parallel.threads) && parallel.threads >= 1 && parallel.threads <= most) return parallel;
    return fail(refused("not_a_parallelism", fmt::format("'{}' is not a number of threads", text),
                        fmt::format("write auto, or a number from 1 to {}", most)));
}

std::string write_reject_limit(const RejectLimit& limit) {
    if (limit.rows) return std::to_string(*limit.rows);
    return limit.share ? fmt::format("{}%", *limit.share * 100) : "";
}

Codec<NumericPolicy> numeric_codec() {
    return parsed_text_codec<NumericPolicy>("numeric form", R"(^(decimal\(\s*[0-9]+\s*,\s*[0-9]+\s*\)|text|double)$)",
                                            parse_numeric_policy,
                                            [](const NumericPolicy& policy) { return to_string(policy); });
}

/// One form for all columns, or a map from columns to forms in which `*` stands for the others.
Codec<NumericPolicies> numerics_codec() {
    auto one = numeric_codec();
    auto by_column = map_of(one);
    Shape shape = one.shape;
    shape.noun = "numeric form, or map of them by column";
    shape.alternative = std::make_shared<const Shape>(by_column.shape);
    return {shape,
            [one, by_column](const Node& node, NumericPolicies& into, const Reading& reading) {
                if (!node.is_map()) return one.read(node, into.otherwise, reading);
                if (!by_column.read(node, into.columns, reading)) return false;
                if (auto rest = into.columns.extract("*"); !rest.empty()) into.otherwise = rest.mapped();
                return true;
            },
            [one, by_column](const NumericPolicies& value) {
                if (value.columns.empty()) return one.write(value.otherwise);
                auto all = value.columns;
                all["*"] = value.otherwise;
                return by_column.write(all);
            }};
}

}  // namespace

const NumericPolicy& NumericPolicies::of(const std::string& table, const std::string& column) const {
    if (auto found = columns.find(table + "." + column); found != columns.end()) return found->second;
    if (auto found = columns.find(column); found != columns.end()) return found->second;
    return otherwise;
}

Result<NumericPolicy> parse_numeric_policy(std::string_view text) {
    if (text == "text") return NumericPolicy{NumericForm::text, 0, 0};
    if (text == "double") return NumericPolicy{NumericForm::floating, 0, 0};
    std::string tight;
    for (char c : text)
        if (c != ' ') tight += c;
    std::string_view rest = tight;
    NumericPolicy policy;
    size_t comma = rest.find(',');
    bool formed = rest.starts_with("decimal(") && rest.ends_with(")") && comma != rest.npos;
    formed = formed && parse_whole(rest.substr(8, comma - 8), policy.precision) &&
             parse_whole(rest.substr(comma + 1, rest.size() - comma - 2), policy.scale);
    if (formed && policy.precision >= 1 && policy.precision <= 38 && policy.scale >= 0 &&
        policy.scale <= policy.precision)
        return policy;
    return fail(refused("not_a_numeric_form", fmt::format("'{}' is not a form for numbers", text),
                        "write decimal(p,s) with p up to 38 and s up to p, text, or double"));
}

std::string to_string(const NumericPolicy& policy) {
    switch (policy.form) {
        case NumericForm::decimal: return fmt::format("decimal({},{})", policy.precision, policy.scale);
        case NumericForm::text: return "text";
        case NumericForm::floating: return "double";
    }
    std::unreachable();
}

Result<RejectLimit> parse_reject_limit(std::string_view text) {
    RejectLimit limit;
    int64_t rows = 0;
    if (parse_whole(text, rows) && rows >= 0) {
        limit.rows = rows;
        return limit;
    }
    double percent = 0;
    if (text.ends_with('%') && parse_whole(text.substr(0, text.size() - 1), percent) && percent >= 0 &&
        percent <= 100) {
        limit.share = percent / 100;
        return limit;
    }
    return fail(refused("not_a_reject_limit", fmt::format("'{}' is neither a count nor a share", text),
                        "write a count such as 100, or a share of the rows such as 0.1%"));
}

const Spec<Retries>& retries_spec() {
    static const auto made =
        Spec<Retries>("retries", "How a failure that may pass is tried again.")
            .field("max", &Retries::max, "Tries after the first one.", {.least = 0, .most = 100})
            .field("delay", &Retries::delay, "Pause before the first retry.")
            .field("backoff", &Retries::backoff, "Factor by which the pause grows with each retry.",
                   {.least = 1, .most = 100})
            .field("jitter", &Retries::jitter,
                   "Whether each pause is shortened by a random part, so that many clients do not come back at once.");
    return made;
}

const Spec<Budget>& budget_spec() {
    static const auto made =
        Spec<Budget>("budget", "What a pipeline may be charged.")
            .field("max_bytes_billed", &Budget::max_bytes_billed,
                   "Bytes that all queries of a run may bill together. One that a dry run finds to be too much is not "
                   "begun: "
                   "the run ends with exit code 4 and bills nothing for it.",
                   {.example = "10GiB", .default_note = "no bound"})
            .field("daily_usd", &Budget::daily_usd,
                   "What all runs of the pipeline may cost in a day (UTC) together, in US dollars at the connection's "
                   "prices. Each pipeline has its own, those for a row of `for_each` too.",
                   {.example = "5", .default_note = "no bound", .least = 0, .most = 1e9})
            .choice("on_exceed", &Budget::on_exceed,
                    {{"stop", OnExceed::stop, "End the run with exit code 4."},
                     {"defer", OnExceed::defer,
                      "Put the run off to the next day: it is `skipped`, and no failure. What one run may bill "
                      "(`max_bytes_billed`), and what a whole day could not pay, still ends with exit code 4."}},
                    "What becomes of a run that would exceed `daily_usd`.");
    return made;
}

const Spec<PipelineSettings>& settings_spec() {
    using S = PipelineSettings;
    static const auto made =
        Spec<S>("defaults", "Settings of every pipeline. Each may also stand in a pipeline, where it wins.")
            .field("memory", &S::memory, "Memory a run may take, the share of embedded engines included.")
            .field("parallel", &S::parallel,
                   parsed_text_codec<Parallel>("number of threads", "^(auto|[0-9]+)$", parse_parallel,
                                               [](const Parallel& value) {
                                                   return value.automatic() ? "auto" : std::to_string(value.threads);
                                               }),
                   "Threads (and connections) that read and write side by side.", {.example = "4"})
            .field("retries", &S::retries, retries_spec(), "How a failure that may pass is tried again.")
            .choice("on_reject", &S::on_reject,
                    {{"stop", OnReject::stop, "End the run with the first reasons; nothing is published."},
                     {"continue", OnReject::go_on, "Write the row to the rejects with its reason and go on."}},
                    "What happens when a row cannot be held by the target.",
                    {.default_note = "stop for tables, continue for event streams"})
            .field("max_rejects", &S::max_rejects,
                   parsed_text_codec<RejectLimit>("count or share", "^[0-9]+(\\.[0-9]+)?%?$", parse_reject_limit,
                                                  write_reject_limit),
                   "Rejected rows, as a count or a share of the rows read, at which a run ends although `on_reject` is "
                   "`continue`.",
                   {.example = "0.1%"})
            .field("numeric", &S::numeric, numerics_codec(),
                   "What a `numeric` without declared precision becomes; a value that does not fit is rejected, never "
                   "rounded. A map gives a form by column, `*` for the others.",
                   {.example = "{price: \"decimal(20,4)\", \"*\": text}"})
            .choice("special_numbers", &S::special_numbers,
                    {{"reject", SpecialNumbers::reject, "Reject the row."},
                     {"null", SpecialNumbers::null, "Store NULL."},
                     {"text", SpecialNumbers::text, "Make the column text."}},
                    "NaN and infinities of `numeric` where the target's type has none.")
            .choice("special_dates", &S::special_dates,
                    {{"reject", SpecialDates::reject, "Reject the row."},
                     {"null", SpecialDates::null, "Store NULL."},
                     {"clamp", SpecialDates::clamp, "Store the nearest value the target can hold."}},
                    "Infinite dates and those outside the target's range.")
            .choice("array_nulls", &S::array_nulls,
                    {{"reject", ArrayNulls::reject, "Reject the row."},
                     {"drop", ArrayNulls::drop, "Leave the elements out."},
                     {"json", ArrayNulls::json, "Make the column JSON."}},
                    "NULL elements of arrays where the target's arrays have none.")
            .choice("wide_json_numbers", &S::wide_json_numbers,
                    {{"reject", WideJsonNumbers::reject, "Reject the row."},
                     {"text", WideJsonNumbers::text, "Make the column text."},
                     {"round", WideJsonNumbers::round, "Let the target round."}},
                    "Numbers within JSON that the target would round.")
            .choice("ranges", &S::ranges,
                    {{"reject", Ranges::reject, "Reject the row."},
                     {"struct", Ranges::structure, "Make the column a structure of bounds and flags."}},
                    "Ranges of dates and times that the target's own ranges do not hold: empty ones, and those that "
                    "are not "
                    "closed below and open above.")
            .field("keep_runs", &S::keep_runs,
                   "How many runs of the pipeline the history keeps; older ones are forgotten.",
                   {.least = 1, .most = 1'000'000})
            .field("statement_timeout", &S::statement_timeout, "Longest time one statement at the source may take.",
                   {.example = "30m", .default_note = "none"})
            .field("lock_timeout", &S::lock_timeout, "Longest wait for a lock at the source.",
                   {.example = "10s", .default_note = "none"})
            .field("budget", &S::budget, budget_spec(),
                   "What the target's system may charge for a run; for targets that charge by query.",
                   {.example = "{max_bytes_billed: 10GiB}"});
    return made;
}

}  // namespace penstock::config
