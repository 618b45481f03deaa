#include "config/schedule.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <charconv>
#include <chrono>
#include <sstream>
#include <string>
#include <vector>

namespace penstock::config {
namespace {

using Set = std::bitset<64>;

struct Field {
    int first, last;
    std::vector<std::string_view> names;  ///< of `first` and those after it
};

const std::array<Field, 5>& fields() {
    static const std::array<Field, 5> made = {
        Field{0, 59, {}},
        {0, 23, {}},
        {1, 31, {}},
        {1, 12, {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
        {0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}};
    return made;
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
    if (item != "*" && item != "?") {
        auto dash = item.find('-');
        auto from = value_of(item.substr(0, dash), field);
        auto to = dash == item.npos ? from : value_of(item.substr(dash + 1), field);
        if (!from || !to || *from > *to) return false;
        first = *from;
        last = dash == item.npos && slash != item.npos ? field.last : *to;
    }
    for (int value = first; value <= last; value += step) set.set(static_cast<size_t>(value));
    return true;
}

std::optional<Set> set_of(const std::string& text, const Field& field) {
    Set set;
    std::istringstream items(text);
    for (std::string item; std::getline(items, item, ',');)
        if (!add_item(item, field, set)) return std::nullopt;
    return set;
}

std::string_view expanded(std::string_view schedule) {
    if (schedule == "@hourly") return "0 * * * *";
    if (schedule == "@daily") return "0 0 * * *";
    if (schedule == "@weekly") return "0 0 * * 0";
    if (schedule == "@monthly") return "0 0 1 * *";
    if (schedule == "@yearly") return "0 0 1 1 *";
    return schedule;
}

}  // namespace

std::optional<double> runs_a_month(std::string_view schedule) {
    std::istringstream words{std::string(expanded(schedule))};
    std::array<std::string, 5> texts;
    std::array<Set, 5> sets;
    for (size_t i = 0; i < texts.size(); ++i) {
        words >> texts[i];
        auto set = set_of(texts[i], fields()[i]);
        if (!set || set->none()) return std::nullopt;
        sets[i] = *set;
    }
    const auto& [minutes, hours, days, months, weekdays] = sets;
    // Where both are given, either is enough.
    auto is_free = [](const std::string& text) { return text.starts_with('*') || text.starts_with('?'); };
    bool either = !is_free(texts[2]) && !is_free(texts[4]);
    using namespace std::chrono;
    size_t due = 0;
    for (sys_days day = 2025y / January / 1; day < sys_days(2029y / January / 1); day += std::chrono::days(1)) {
        year_month_day date(day);
        auto weekday_of = weekday(day).c_encoding();
        bool by_date = days[static_cast<unsigned>(date.day())];
        bool by_weekday = weekdays[weekday_of] || (weekday_of == 0 && weekdays[7]);
        bool here = either ? by_date || by_weekday : by_date && by_weekday;
        if (here && months[static_cast<unsigned>(date.month())]) ++due;
    }
    return static_cast<double>(due * minutes.count() * hours.count()) / 48;
}

}  // namespace penstock::config
