#include "config/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string>
#include <vector>

#include "base/humane.h"

namespace penstock::config {
namespace {

using namespace std::chrono;
using Set = Cron::Set;

struct Field {
    std::string_view name;
    int first, last;
    std::vector<std::string_view> names;  ///< of `first` and those after it
};

const std::array<Field, 5>& fields() {
    static const std::array<Field, 5> made = {
        Field{"minute", 0, 59, {}},
        {"hour", 0, 23, {}},
        {"day of month", 1, 31, {}},
        {"month", 1, 12, {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
        {"day of week", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}};
    return made;
}

Error no_schedule(std::string message) {
    return {.kind = ErrorKind::configuration,
            .code = "not_a_schedule",
            .message = std::move(message),
            .hint =
                "minute hour day-of-month month day-of-week, such as \"*/15 * * * *\" or \"0 2 * * 0\"; or @daily, "
                "or @every 10m"};
}

std::optional<int> value_of(std::string text, const Field& field) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    auto named = std::ranges::find(field.names, std::string_view(text));
    if (named != field.names.end()) return field.first + static_cast<int>(named - field.names.begin());
    int value = 0;
    auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    bool whole = status == std::errc{} && end == text.data() + text.size();
    return whole && value >= field.first && value <= field.last ? std::optional(value) : std::nullopt;
}

/// "*", "5", "1-5", "*/15", "10-40/10"
bool add_item(std::string item, const Field& field, Set& set) {
    int step = 1, first = field.first, last = field.last;
    auto slash = item.find('/');
    if (slash != item.npos) {
        auto [end, status] = std::from_chars(item.data() + slash + 1, item.data() + item.size(), step);
        if (status != std::errc{} || end != item.data() + item.size() || step < 1) return false;
        item.erase(slash);
    }
    if (item != "*") {
        auto dash = item.find('-');
        auto from = value_of(item.substr(0, dash), field);
        auto to = dash == item.npos ? from : value_of(item.substr(dash + 1), field);
        if (from && to && *to == 0 && *from > 0 && field.last == 7) to = 7;  // fri-sun
        if (!from || !to || *from > *to) return false;
        first = *from;
        last = dash == item.npos && slash != item.npos ? field.last : *to;
    }
    // In steps of a whole field of weekdays, 7 would be a second Sunday.
    if (item == "*" && field.last == 7) last = 6;
    for (int64_t value = first; value <= last; value += step) set.set(static_cast<size_t>(value));
    return true;
}

Result<Set> set_of(const std::string& text, const Field& field) {
    Set set;
    std::istringstream items(text);
    bool good = !text.ends_with(',');
    for (std::string item; good && std::getline(items, item, ',');) good = add_item(item, field, set);
    if (good && set.any()) return set;
    return fail(no_schedule(fmt::format("'{}' is no {} of a schedule: {} to {}{}", text, field.name, field.first,
                                        field.last, field.names.empty() ? "" : ", or names of three letters")));
}

std::string_view expanded(std::string_view schedule) {
    if (schedule == "@hourly") return "0 * * * *";
    if (schedule == "@daily" || schedule == "@midnight") return "0 0 * * *";
    if (schedule == "@weekly") return "0 0 * * 0";
    if (schedule == "@monthly") return "0 0 1 * *";
    if (schedule == "@yearly" || schedule == "@annually") return "0 0 1 1 *";
    return schedule;
}

Result<Cron> parse_every(std::string_view text) {
    auto step = parse_duration(text);
    bool whole = step && *step % seconds(1) == microseconds(0);
    if (!whole || *step < seconds(1) || *step > hours(24))
        return fail(no_schedule(fmt::format("'@every {}' is no step from 1s to 24h", text)));
    Cron cron;
    cron.every = duration_cast<seconds>(*step);
    return cron;
}

int next_of(const Set& set, int from) {
    for (; from < 64; ++from)
        if (set[static_cast<size_t>(from)]) return from;
    return -1;
}

}  // namespace

bool Cron::holds(local_days day) const {
    year_month_day date(day);
    bool by_date = days[static_cast<unsigned>(date.day())];
    bool by_weekday = weekdays[weekday(day).c_encoding()];
    return months[static_cast<unsigned>(date.month())] && (either_day ? by_date || by_weekday : by_date && by_weekday);
}

std::optional<Cron::LocalMinutes> Cron::first_from(LocalMinutes from) const {
    local_days day = floor<std::chrono::days>(from);
    auto of_day = from - day;
    int hour = static_cast<int>(of_day / std::chrono::hours(1));
    int minute = static_cast<int>(of_day % std::chrono::hours(1) / std::chrono::minutes(1));
    const local_days end = day + std::chrono::days(8 * 366);
    for (; day < end; day += std::chrono::days(1), hour = 0, minute = 0) {
        if (!holds(day)) continue;
        for (int at = next_of(hours, hour); at >= 0; at = next_of(hours, at + 1))
            if (int found = next_of(minutes, at == hour ? minute : 0); found >= 0)
                return LocalMinutes(day) + std::chrono::hours(at) + std::chrono::minutes(found);
    }
    return std::nullopt;
}

Result<Cron> parse_cron(std::string_view text) {
    if (text.starts_with("@every ")) return parse_every(text.substr(7));
    std::istringstream words{std::string(expanded(text))};
    std::vector<std::string> texts;
    for (std::string word; words >> word;) texts.push_back(word);
    if (texts.size() != 5) return fail(no_schedule("the schedule is not a cron expression of five fields"));
    Cron cron;
    std::array<Set*, 5> sets = {&cron.minutes, &cron.hours, &cron.days, &cron.months, &cron.weekdays};
    for (size_t i = 0; i < sets.size(); ++i) {
        PN_TRY(*sets[i], set_of(texts[i], fields()[i]));
    }
    if (cron.weekdays[7]) cron.weekdays.set(0), cron.weekdays.reset(7);
    cron.either_day = !texts[2].starts_with('*') && !texts[4].starts_with('*');
    cron.by_elapsed_time = texts[0].starts_with('*') || texts[1].starts_with('*');
    if (!cron.first_from(Cron::LocalMinutes(local_days(2024y / January / 1))))
        return fail(no_schedule(fmt::format("'{}' is never due: no such date comes by", text)));
    return cron;
}

std::optional<double> runs_a_month(std::string_view schedule) {
    auto cron = parse_cron(schedule);
    if (!cron) return std::nullopt;
    if (cron->every.count() != 0) return duration<double>(days(1461)) / cron->every / 48;
    size_t due = 0;
    for (local_days day(2025y / January / 1); day < local_days(2029y / January / 1); day += days(1))
        if (cron->holds(day)) ++due;
    return static_cast<double>(due * cron->minutes.count() * cron->hours.count()) / 48;
}

}  // namespace penstock::config
