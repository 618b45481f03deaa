#include "base/humane.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

namespace penstock {

std::string humane_bytes(uint64_t bytes) {
    static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) value /= 1024, ++unit;
    if (unit == 0) return fmt::format("{} B", bytes);
    return value < 10 ? fmt::format("{:.1f} {}", value, units[unit]) : fmt::format("{:.0f} {}", value, units[unit]);
}

std::string humane_count(int64_t count) {
    std::string digits = std::to_string(count);
    size_t first = count < 0 ? 1 : 0;
    for (size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
    return digits;
}

std::string humane_duration(std::chrono::duration<double> duration) {
    double seconds = duration.count();
    if (seconds < 10) return fmt::format("{:.1f} s", seconds);
    if (seconds < 60) return fmt::format("{:.0f} s", seconds);
    auto whole = static_cast<int64_t>(seconds + 0.5);
    if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
    return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

namespace {

struct Unit {
    std::string_view name;
    double factor;
};

/// A number followed by one of `units`; -1 when the text is neither.
double parse_with_unit(std::string_view text, std::span<const Unit> units) {
    double value = 0;
    auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status != std::errc{} || value < 0) return -1;
    std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
    while (!suffix.empty() && suffix.front() == ' ') suffix.remove_prefix(1);
    for (const auto& unit : units)
        if (unit.name == suffix) return value * unit.factor;
    return -1;
}

}  // namespace

Result<uint64_t> parse_bytes(std::string_view text) {
    static constexpr std::array<Unit, 12> units = {{{"", 1},
                                                    {"B", 1},
                                                    {"KiB", 1024.},
                                                    {"MiB", 1048576.},
                                                    {"GiB", 1073741824.},
                                                    {"TiB", 1099511627776.},
                                                    {"kB", 1e3},
                                                    {"KB", 1e3},
                                                    {"MB", 1e6},
                                                    {"GB", 1e9},
                                                    {"TB", 1e12},
                                                    {"PB", 1e15}}};
    double value = parse_with_unit(text, units);
    if (value >= 0 && value < 9e18) return static_cast<uint64_t>(value);
    return fail({.kind = ErrorKind::configuration,
                 .code = "not_a_size",
                 .message = fmt::format("'{}' is not a size", text),
                 .hint = "write a number with a unit, such as 512MiB or 10GB"});
}

Result<std::chrono::microseconds> parse_duration(std::string_view text) {
    static constexpr std::array<Unit, 9> units = {{{"", 1e6},
                                                   {"us", 1},
                                                   {"ms", 1e3},
                                                   {"s", 1e6},
                                                   {"m", 60e6},
                                                   {"min", 60e6},
                                                   {"h", 3600e6},
                                                   {"d", 86400e6},
                                                   {"w", 604800e6}}};
    double value = parse_with_unit(text, units);
    if (value >= 0 && value < 9e18) return std::chrono::microseconds(static_cast<int64_t>(value));
    return fail({.kind = ErrorKind::configuration,
                 .code = "not_a_duration",
                 .message = fmt::format("'{}' is not a duration", text),
                 .hint = "write a number with a unit, such as 250ms, 5s, 5m, 1h or 2d"});
}

size_t edit_distance(std::string_view a, std::string_view b) {
    // Three rows of the usual table: two back for letters that changed places, which count as one slip.
    std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        before = std::exchange(above, row);
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[b.size()];
}

}  // namespace penstock
