#include "app/progress_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "app/text_table.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

constexpr size_t bar_width = 20;

/// The estimate is the planner's: rows may exceed it, and a load that goes on is never shown as complete.
double share_done(const ProgressFigures& figures) {
    if (figures.estimated_rows <= 0) return -1;
    return std::min(0.99, static_cast<double>(figures.rows) / static_cast<double>(figures.estimated_rows));
}

std::string bar(double share) {
    auto full = static_cast<size_t>(share * bar_width);
    std::string text;
    for (size_t i = 0; i < bar_width; ++i) text += i < full ? "━" : "╌";
    return text;
}

std::string time_left(const ProgressFigures& figures) {
    if (figures.rows_per_second <= 0 || figures.rows >= figures.estimated_rows) return "";
    double seconds = static_cast<double>(figures.estimated_rows - figures.rows) / figures.rows_per_second;
    return humane_duration(std::chrono::duration<double>(seconds)) + " left";
}

/// A part of the line; those with the highest `expendable` go first when the line is too long.
struct Piece {
    std::string text;
    int expendable;
};

std::string join_fitting(std::vector<Piece> pieces, size_t width) {
    auto length = [&] {
        size_t sum = 0;
        for (const auto& piece : pieces) sum += display_width(piece.text) + 2;
        return sum == 0 ? 0 : sum - 2;
    };
    while (pieces.size() > 1 && length() > width)
        pieces.erase(std::ranges::max_element(pieces, {}, &Piece::expendable));
    std::string line;
    for (const auto& piece : pieces) line += (line.empty() ? "" : "  ") + piece.text;
    return one_line(line, width);
}

}  // namespace

std::string humane_rate(double per_second) {
    static constexpr const char* units[] = {"", " k", " M", " G"};
    size_t unit = 0;
    while (per_second >= 999.5 && unit + 1 < std::size(units)) per_second /= 1000, ++unit;
    if (unit == 0 || per_second >= 10) return fmt::format("{:.0f}{}/s", per_second, units[unit]);
    return fmt::format("{:.1f}{}/s", per_second, units[unit]);
}

std::string progress_line(const ProgressFigures& figures, size_t name_width, size_t width) {
    std::string name = one_line(figures.table, name_width);
    name.append(name_width - std::min(name_width, display_width(name)), ' ');
    std::vector<Piece> pieces = {{name, 0}};
    double share = share_done(figures);
    if (share >= 0) {
        pieces.push_back({bar(share), 6});
        pieces.push_back({fmt::format("{:2.0f}%", std::floor(share * 100)), 2});
    }
    pieces.push_back({humane_count(figures.rows) + " rows", 1});
    pieces.push_back({humane_bytes(static_cast<uint64_t>(figures.bytes)), 5});
    pieces.push_back({humane_rate(figures.rows_per_second), 4});
    if (figures.rejected > 0) pieces.push_back({humane_count(figures.rejected) + " rejected", 2});
    if (share >= 0)
        if (std::string left = time_left(figures); !left.empty()) pieces.push_back({left, 3});
    return join_fitting(std::move(pieces), width);
}

void Pace::update(double seconds, int64_t count) {
    constexpr double memory_seconds = 3;
    double passed = seconds - last_seconds_;
    if (passed <= 0) return;
    double rate = static_cast<double>(std::max<int64_t>(0, count - last_count_)) / passed;
    double weight = rate_ == 0 ? 1 : 1 - std::exp(-passed / memory_seconds);
    rate_ += weight * (rate - rate_);
    last_seconds_ = seconds;
    last_count_ = count;
}

}  // namespace penstock::app
