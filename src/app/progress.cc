#include "app/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/terminal.h"
#include "app/text_table.h"
#include "base/humane.h"
#include "base/log.h"

namespace penstock::app {
namespace {

constexpr auto frame = std::chrono::milliseconds(100);
constexpr size_t most_lines = 8;
constexpr size_t most_name = 40;

/// One write, so that a frame never shows half.
void write_stderr(std::string_view text) {
    while (!text.empty()) {
        auto written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written <= 0) return;
        text.remove_prefix(static_cast<size_t>(written));
    }
}

std::string counts_json(const flow::TableResult& result) {
    nlohmann::ordered_json counts = {{"table", result.source},
                                     {"target", result.target},
                                     {"rows_read", result.counts.rows_read},
                                     {"rows_written", result.counts.rows_written},
                                     {"rows_rejected", result.counts.rows_rejected},
                                     {"rows_filtered", result.counts.rows_filtered},
                                     {"bytes_read", result.counts.bytes_read},
                                     {"duration_seconds", result.duration.count()}};
    return counts.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

ProgressDisplay::ProgressDisplay(Style style) : style_(style) {
    if (style_ != Style::lines) return;
    // A log line goes above the bars, which then come back.
    log::set_interleave([this](const std::function<void()>& write) {
        std::lock_guard lock(mutex_);
        clear();
        write();
        draw();
    });
    painter_ = std::jthread([this](std::stop_token stop) { paint_until(stop); });
}

ProgressDisplay::~ProgressDisplay() {
    if (style_ != Style::lines) return;
    painter_.request_stop();
    painter_.join();
    log::set_interleave({});
    clear();
}

void ProgressDisplay::tables_planned(const std::vector<flow::TableTarget>& tables,
                                     const std::vector<flow::TablePlan>&) {
    std::lock_guard lock(mutex_);
    tables_ = tables.size();
    ended_ = 0;
}

void ProgressDisplay::table_started(const flow::TableTarget& table, const flow::Progress& progress) {
    log::info("loading {} into {}", table.info.name, table.name);
    std::lock_guard lock(mutex_);
    active_[table.info.name] = {.progress = &progress,
                                .estimated_rows = table.info.estimated_rows,
                                .started = std::chrono::steady_clock::now(),
                                .pace = {}};
}

void ProgressDisplay::table_ended(const flow::TableResult& result) {
    {
        std::lock_guard lock(mutex_);
        active_.erase(result.source);
        ++ended_;
    }
    log::write(log::Level::info,
               fmt::format("loaded {}: {} rows read, {} written, {} rejected in {}", result.source,
                           humane_count(result.counts.rows_read), humane_count(result.counts.rows_written),
                           humane_count(result.counts.rows_rejected), humane_duration(result.duration)),
               counts_json(result));
}

void ProgressDisplay::retrying(const Error& error, std::chrono::microseconds delay, int attempt, int max_attempts) {
    run_ended();
    log::warning("{}; try {} of {} in {}", error.message, attempt, max_attempts, humane_duration(delay));
}

void ProgressDisplay::run_ended() {
    std::lock_guard lock(mutex_);
    active_.clear();
    if (style_ == Style::lines) clear();
}

void ProgressDisplay::paint_until(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, stop, frame, [] { return false; }) && !stop.stop_requested()) draw();
}

std::vector<std::string> ProgressDisplay::lines() {
    std::vector<std::string> lines;
    size_t name_width = 0;
    for (const auto& [name, active] : active_)
        name_width = std::max(name_width, std::min(most_name, display_width(name)));
    size_t width = terminal_width() - 1;  // a full last column would wrap
    for (auto& [name, active] : active_) {
        if (lines.size() == most_lines) break;
        std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - active.started;
        int64_t rows = active.progress->rows_read;
        active.pace.update(elapsed.count(), rows);
        lines.push_back(progress_line({.table = name,
                                       .rows = rows,
                                       .estimated_rows = active.estimated_rows,
                                       .bytes = active.progress->bytes_read,
                                       .rejected = active.progress->rows_rejected,
                                       .rows_per_second = active.pace.per_second()},
                                      name_width, width));
    }
    if (tables_ > 1 && !lines.empty())
        lines.push_back(one_line(fmt::format("{} of {} tables done", ended_, tables_), width));
    return lines;
}

void ProgressDisplay::draw() {
    auto now_shown = lines();
    std::string out = drawn_ > 0 ? fmt::format("\x1b[{}F", drawn_) : std::string();
    for (const auto& line : now_shown) out += line + "\x1b[K\n";
    if (drawn_ > now_shown.size()) out += "\x1b[J";
    drawn_ = now_shown.size();
    write_stderr(out);
}

void ProgressDisplay::clear() {
    if (drawn_ > 0) write_stderr(fmt::format("\x1b[{}F\x1b[J", drawn_));
    drawn_ = 0;
}

}  // namespace penstock::app
