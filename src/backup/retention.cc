#include "backup/retention.h"

#include <algorithm>
#include <map>
#include <ranges>
#include <tuple>

namespace penstock::backup {
namespace {

/// Where the backup of this id stands; `otherwise` where there is none.
size_t place_of(const std::vector<RetainedBackup>& backups, const std::string& id, size_t otherwise) {
    auto found = std::ranges::find(backups, id, &RetainedBackup::id);
    return id.empty() || found == backups.end() ? otherwise : static_cast<size_t>(found - backups.begin());
}

/// A backup, what it is built on, and so on; the last is the first of its chain.
std::vector<size_t> chain_of(const std::vector<RetainedBackup>& backups, size_t at) {
    std::vector<size_t> chain = {at};
    while (chain.size() <= backups.size()) {
        size_t parent = place_of(backups, backups[chain.back()].parent, chain.back());
        if (parent == chain.back()) break;
        chain.push_back(parent);
    }
    return chain;
}

/// Whether each stays; `backups` oldest first.
std::vector<bool> staying(const Retention& retention, TimePoint now, const std::vector<RetainedBackup>& backups) {
    std::vector<bool> stays(backups.size(), false);
    if (stays.empty()) return stays;
    stays.back() = true;
    int64_t newer = 0;  // full backups
    std::vector<bool> counted(backups.size(), false);
    for (size_t i = backups.size(); i-- > 0;)
        if (backups[i].parent.empty() && newer++ < retention.full.value_or(0)) counted[i] = true;
    for (size_t i = 0; i < backups.size(); ++i)
        if (counted[chain_of(backups, i).back()]) stays[i] = true;
    if (retention.days) {
        auto since = now - std::chrono::days(*retention.days);
        for (size_t i = 0; i < backups.size(); ++i) {
            // The newest before the first day as well: the log behind it leads into that day.
            bool leads_in = i + 1 == backups.size() || backups[i + 1].ended_at > since;
            if (backups[i].ended_at > since || leads_in) stays[i] = true;
        }
    }
    auto kept = stays;
    for (size_t i = 0; i < backups.size(); ++i)
        if (kept[i])
            for (size_t needed : chain_of(backups, i)) stays[needed] = true;
    return stays;
}

/// The log of a timeline in front of this may go; of a timeline that is not in here, all.
std::map<uint32_t, Lsn> cuts(const std::vector<RetainedBackup>& backups, const std::vector<bool>& stays,
                             const WalLayout& layout) {
    std::map<uint32_t, Lsn> from;
    for (size_t i = 0; i < backups.size(); ++i) {
        if (!stays[i]) continue;
        auto needed = layout.segment_start(backups[i].end);
        auto [there, fresh] = from.emplace(backups[i].timeline, needed);
        if (!fresh) there->second = std::min<uint64_t>(there->second, needed);
        for (auto later : backups[i].later_timelines) from[later] = 0;
    }
    return from;
}

void cut(const WalStretch& stretch, Lsn needed, RetentionPlan& plan) {
    if (needed <= stretch.from) return;
    std::vector<WalPiece> going;
    for (const auto& piece : stretch.pieces)
        if (piece.to <= needed) going.push_back(piece);
    if (going.empty()) return;
    if (going.size() == stretch.pieces.size()) plan.beginnings.emplace_back(stretch.timeline, stretch.from);
    else {
        plan.new_beginnings.emplace_back(stretch.timeline, needed);
        plan.beginnings.emplace_back(stretch.timeline, stretch.from);
    }
    // From behind: what is left in front of the hole still begins where it says.
    std::ranges::copy(going | std::views::reverse, std::back_inserter(plan.pieces));
}

}  // namespace

RetentionPlan plan_retention(const Retention& retention, TimePoint now, std::vector<RetainedBackup> backups,
                             const WalLayout& layout, const WalIndex& index) {
    std::ranges::sort(backups, {}, [](const RetainedBackup& one) { return std::pair(one.ended_at, one.id); });
    auto stays = staying(retention, now, backups);
    RetentionPlan plan;
    using Going = std::tuple<size_t, size_t, size_t>;
    std::vector<Going> going;
    for (size_t i = 0; i < backups.size(); ++i)
        if (auto chain = chain_of(backups, i); !stays[i])
            going.emplace_back(chain.back(), backups.size() - chain.size(), i);
    // Old chains first, and of each the longest way first: what a kill leaves is whole.
    std::ranges::sort(going);
    for (const auto& [root, length, i] : going) plan.backups.push_back(backups[i].id);
    if (backups.empty()) return plan;
    auto from = cuts(backups, stays, layout);
    for (const auto& stretch : index.stretches) {
        auto found = from.find(stretch.timeline);
        Lsn needed = found != from.end() ? found->second : stretch.to;
        if (&stretch == &index.stretches.back())
            needed = std::min<uint64_t>(needed, layout.segment_start(stretch.to - 1));
        cut(stretch, needed, plan);
    }
    return plan;
}

}  // namespace penstock::backup
