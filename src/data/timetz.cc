#include "data/timetz.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

namespace penstock::data {
namespace {

constexpr int64_t largest_offset = 57'599;  // 15:59:59, as Layout says
constexpr int64_t day_micros = int64_t{86'400} * 1'000'000;

/// Two digits off the front; nothing when there are none.
std::optional<int64_t> two_digits(std::string_view& text) {
    if (text.size() < 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') return std::nullopt;
    int64_t number = (text[0] - '0') * 10 + (text[1] - '0');
    text.remove_prefix(2);
    return number;
}

/// HH[:MM[:SS]] in seconds.
std::optional<int64_t> clock_seconds(std::string_view& text) {
    auto part = two_digits(text);
    if (!part) return std::nullopt;
    int64_t seconds = *part * 3'600;
    for (int64_t unit : {60, 1}) {
        if (!text.starts_with(':')) break;
        text.remove_prefix(1);
        part = two_digits(text);
        if (!part || *part > 59) return std::nullopt;
        seconds += *part * unit;
    }
    return seconds;
}

/// .ffffff in microseconds; 0 when there is no fraction.
std::optional<int64_t> fraction_micros(std::string_view& text) {
    if (!text.starts_with('.')) return 0;
    text.remove_prefix(1);
    int64_t micros = 0;
    int digits = 0;
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), ++digits)
        micros = micros * 10 + text[0] - '0';
    if (digits == 0 || digits > 6) return std::nullopt;
    for (; digits < 6; ++digits) micros *= 10;
    return micros;
}

}  // namespace

std::string timetz_text(int64_t packed) {
    int64_t micros = packed >> 24;
    int64_t offset = largest_offset - (packed & 0xffffff);
    int64_t seconds = micros / 1'000'000, fraction = micros % 1'000'000, size = std::abs(offset);
    std::string text = fmt::format("{:02}:{:02}:{:02}", seconds / 3'600, seconds / 60 % 60, seconds % 60);
    if (fraction != 0) {
        text += fmt::format(".{:06}", fraction);
        text.erase(text.find_last_not_of('0') + 1);
    }
    text += fmt::format("{}{:02}", offset < 0 ? '-' : '+', size / 3'600);
    if (size % 3'600 != 0) text += fmt::format(":{:02}", size / 60 % 60);
    if (size % 60 != 0) text += fmt::format(":{:02}", size % 60);
    return text;
}

std::optional<int64_t> parse_timetz(std::string_view text) {
    auto seconds = clock_seconds(text);
    auto micros = seconds ? fraction_micros(text) : std::nullopt;
    if (!micros || text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
    bool west = text[0] == '-';
    text.remove_prefix(1);
    auto offset = clock_seconds(text);
    int64_t time = *seconds * 1'000'000 + *micros;
    if (!offset || !text.empty() || *offset > largest_offset || time > day_micros) return std::nullopt;
    return time << 24 | (largest_offset - (west ? -*offset : *offset));
}

}  // namespace penstock::data
