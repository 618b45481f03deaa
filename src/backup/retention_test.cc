#include "backup/retention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>

namespace penstock::backup {
namespace {

using Names = std::vector<std::pair<std::string, uint64_t>>;

constexpr WalLayout layout;
constexpr uint64_t segment = uint64_t{16} << 20;
const TimePoint clock_now = TimePoint(std::chrono::days(20000));

/// A server's life as a store sees it: log, backups, gaps that were accepted, promotions.
struct History {
    Names names;
    std::vector<RetainedBackup> backups;
};

History history_of(std::mt19937& random) {
    auto pick = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); };
    History history;
    uint32_t timeline = 1;
    uint64_t at = segment * static_cast<uint64_t>(1 + pick(5));
    auto begin = [&] { history.names.emplace_back(layout.beginning_name(timeline, at), 1); };
    auto time = clock_now - std::chrono::hours(24 * 40);
    begin();
    for (int step = 0, steps = pick(60); step < steps; ++step) {
        time += std::chrono::hours(pick(36));
        auto what = pick(10);
        if (what < 5) {
            history.names.emplace_back(layout.piece_name({.timeline = timeline, .from = at, .to = at + segment}), 1);
            at += segment;
        } else if (what < 8) {
            bool incremental = !history.backups.empty() && pick(2) == 0;
            history.backups.push_back({.id = std::to_string(1000 + step),
                                       .parent = incremental ? history.backups.back().id : "",
                                       .ended_at = time,
                                       .timeline = timeline,
                                       .end = at - static_cast<uint64_t>(pick(2) * pick(1000)),
                                       .later_timelines = {}});
        } else if (what == 8) {
            at += segment * static_cast<uint64_t>(1 + pick(3));
            begin();
        } else {
            for (auto& backup : history.backups) backup.later_timelines.insert(timeline + 1);
            ++timeline;
            begin();
        }
    }
    return history;
}

WalIndex after(const Names& names, const RetentionPlan& plan, size_t steps) {
    Names left = names;
    for (const auto& [timeline, at] : plan.new_beginnings) left.emplace_back(layout.beginning_name(timeline, at), 1);
    auto remove = [&](const std::string& name) {
        std::erase_if(left, [&](const auto& one) { return one.first == name; });
    };
    for (size_t i = 0; i < steps && i < plan.pieces.size(); ++i) remove(layout.piece_name(plan.pieces[i]));
    if (steps > plan.pieces.size())
        for (const auto& [timeline, at] : plan.beginnings) remove(layout.beginning_name(timeline, at));
    return index_wal(layout, left);
}

const RetainedBackup* parent_of(const History& history, const RetainedBackup& one) {
    auto found = std::ranges::find(history.backups, one.parent, &RetainedBackup::id);
    return found == history.backups.end() ? nullptr : &*found;
}

/// By the definition: whether a backup has to stay for its own sake.
bool is_wanted(const History& history, const Retention& retention, const RetainedBackup& one) {
    auto is_newer = [&](const auto& other, const auto& than) {
        return std::pair(other.ended_at, other.id) > std::pair(than.ended_at, than.id);
    };
    if (std::ranges::none_of(history.backups, [&](const auto& other) { return is_newer(other, one); })) return true;
    const auto* full = &one;
    while (const auto* parent = parent_of(history, *full)) full = parent;
    auto newer_full = std::ranges::count_if(
        history.backups, [&](const auto& other) { return other.parent.empty() && is_newer(other, *full); });
    if (newer_full < retention.full.value_or(0)) return true;
    if (!retention.days) return false;
    // Some moment of the window is restored from it: the next one ended within the window, or it did itself.
    auto since = clock_now - std::chrono::days(*retention.days);
    if (one.ended_at > since) return true;
    return std::ranges::none_of(history.backups, [&](const auto& other) {
        return std::pair(other.ended_at, other.id) > std::pair(one.ended_at, one.id) && other.ended_at <= since;
    });
}

/// Whether it has to stay, for itself or for what is built on it.
bool must_stay(const History& history, const Retention& retention, const RetainedBackup& one) {
    return std::ranges::any_of(history.backups, [&](const auto& other) {
        const auto* link = &other;
        while (link != nullptr && link->id != one.id) link = parent_of(history, *link);
        return link != nullptr && is_wanted(history, retention, other);
    });
}

bool needed_by(const RetainedBackup& backup, const WalPiece& piece) {
    if (backup.later_timelines.contains(piece.timeline)) return true;
    return piece.timeline == backup.timeline && piece.to > layout.segment_start(backup.end);
}

TEST_CASE(
    "what has to stay stays, nothing else does, and whatever ends the removal leaves log that says where it begins") {
    for (unsigned seed = 0; seed < 4000; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        auto history = history_of(random);
        Retention retention;
        if (random() % 2 == 0) retention.days = random() % 50;
        if (random() % 2 == 0) retention.full = 1 + random() % 6;
        auto index = index_wal(layout, history.names);
        auto plan = plan_retention(retention, clock_now, history.backups, layout, index);

        std::vector<RetainedBackup> kept;
        for (const auto& backup : history.backups) {
            bool stays = std::ranges::find(plan.backups, backup.id) == plan.backups.end();
            REQUIRE(stays == must_stay(history, retention, backup));
            if (stays) kept.push_back(backup);
        }
        std::set<std::string> gone;
        for (const auto& id : plan.backups) {
            gone.insert(id);  // a kill behind this leaves nothing that is built on it
            for (const auto& backup : history.backups)
                if (backup.parent == id) REQUIRE(gone.contains(backup.id));
        }
        for (const auto& stretch : index.stretches)
            for (const auto& piece : stretch.pieces) {
                bool stays = std::ranges::find(plan.pieces, piece) == plan.pieces.end();
                bool needed = history.backups.empty() || piece == index.stretches.back().pieces.back() ||
                              std::ranges::any_of(kept, [&](const auto& one) { return needed_by(one, piece); });
                REQUIRE(stays == needed);
            }
        for (size_t steps = 0; steps <= plan.pieces.size() + 1; ++steps)
            for (const auto& stretch : after(history.names, plan, steps).stretches) REQUIRE(stretch.begins);
        auto left = after(history.names, plan, plan.pieces.size() + 1);
        REQUIRE(plan_retention(retention, clock_now, kept, layout, left).empty());
    }
}

}  // namespace
}  // namespace penstock::backup
