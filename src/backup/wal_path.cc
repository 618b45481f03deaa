#include "backup/wal_path.h"

#include <algorithm>
#include <ranges>

#include "connect/postgres/replication/slot.h"

namespace penstock::backup {
namespace {

/// A timeline on the way, and where it was left; the last one never was.
struct Step {
    uint32_t timeline;
    std::optional<Lsn> left_at;
};

/// The way from a place of `timeline` to `to`; nothing where `to` does not come from there.
Result<std::vector<Step>> way(const WalStore& store, const WalIndex& index, uint32_t timeline, Lsn from, uint32_t to) {
    if (to == timeline) return std::vector<Step>{{timeline, std::nullopt}};
    if (to < timeline || !index.histories.contains(to)) return std::vector<Step>();
    PN_TRY(auto history, store.get_history(to));
    std::vector<Step> steps;
    for (const auto& left : postgres::parse_timeline_history(history)) {
        if (steps.empty() && left.timeline != timeline) continue;
        if (steps.empty() && left.at < from) return std::vector<Step>();
        steps.push_back({static_cast<uint32_t>(left.timeline), left.at});
    }
    if (!steps.empty()) steps.push_back({to, std::nullopt});
    return steps;
}

/// The nearest stretch of a timeline that begins behind a place.
const WalStretch* behind(const WalIndex& index, uint32_t timeline, Lsn at) {
    for (const auto& stretch : index.stretches)
        if (stretch.timeline == timeline && stretch.from > at) return &stretch;
    return nullptr;
}

using Take = std::function<void(const WalRecord&)>;

/// The records of a leg that begin in [from, to).
Status scan(const WalStore& store, const WalPath::Leg& leg, Lsn from, Lsn to, const Take& take) {
    const auto& layout = store.layout();
    Lsn at = std::max<uint64_t>(layout.block_start(from), leg.stretch->from);
    WalRecords records(at, layout.segment_bytes, [&](const WalRecord& record) {
        if (record.start >= from && record.end <= to) take(record);
    });
    while (at < to) {
        Lsn end = std::min<uint64_t>(layout.block_start(at) + layout.block_bytes(), to);
        PN_TRY(auto bytes, store.read(*leg.stretch, at, end));
        records.add(bytes);
        at = end;
    }
    records.finish();
    return {};
}

/// Looks at the last block, the last two, the last four … until `enough`, so that what is read is in proportion to how far
/// back it stands.
Status scan_back(const WalStore& store, const WalPath& path, Lsn until, const Take& take,
                 const std::function<bool()>& enough) {
    for (const auto& leg : path.legs | std::views::reverse) {
        Lsn to = std::min<uint64_t>(leg.to, until);
        if (to <= leg.from && &leg != &path.legs.front()) continue;
        for (uint64_t blocks = 1;; blocks *= 2) {
            uint64_t back = (blocks - 1) * store.layout().block_bytes();
            Lsn block = store.layout().block_start(to - (to > leg.from ? 1 : 0));
            Lsn from = block > leg.from + back ? Lsn(block - back) : leg.from;
            PN_CHECK(scan(store, leg, from, to, take));
            if (enough()) return {};
            if (from == leg.from) break;
        }
    }
    return {};
}

}  // namespace

Result<WalPath> follow_wal(const WalStore& store, const WalIndex& index, uint32_t timeline, Lsn from) {
    WalPath path{.legs = {}, .timeline = timeline, .behind_gap = nullptr};
    std::vector<Step> steps;
    for (const auto& stretch : index.stretches | std::views::reverse) {
        if (!steps.empty() || stretch.timeline < timeline) break;
        PN_TRY(steps, way(store, index, timeline, from, stretch.timeline));
    }
    if (steps.empty()) steps.push_back({timeline, std::nullopt});
    path.timeline = steps.back().timeline;
    for (const auto& step : steps) {
        const auto* stretch = index.stretch(step.timeline, from);
        if (stretch == nullptr) {
            path.behind_gap = behind(index, step.timeline, from);
            return path;
        }
        path.legs.push_back(
            {stretch, from, step.left_at ? Lsn(std::min<uint64_t>(stretch->to, *step.left_at)) : stretch->to});
        if (step.left_at ? stretch->to < *step.left_at : true) {
            path.behind_gap = behind(index, step.timeline, stretch->to);
            return path;
        }
        from = store.layout().segment_start(*step.left_at);
    }
    return path;
}

Result<WalEnd> end_of(const WalStore& store, const WalPath& path) {
    WalEnd end;
    // A later look sees all that an earlier one saw, and more before it.
    auto take = [&](const WalRecord& record) {
        if (!end.record || record.start > end.record->start) end.record = record;
        if (record.ends_transaction && record.at && (!end.transaction || record.start > end.transaction->start))
            end.transaction = record;
    };
    PN_CHECK(scan_back(store, path, path.end(), take, [&] { return end.transaction.has_value(); }));
    return end;
}

Result<std::optional<WalRecord>> last_record(const WalStore& store, const WalPath& path, Lsn until) {
    std::optional<WalRecord> found;
    auto take = [&](const WalRecord& record) {
        if (!found || record.start > found->start) found = record;
    };
    PN_CHECK(scan_back(store, path, until, take, [&] { return found.has_value(); }));
    return found;
}

Result<std::optional<WalRecord>> find_record(const WalStore& store, const WalPath& path,
                                             const std::function<bool(const WalRecord&)>& wanted) {
    std::optional<WalRecord> found;
    for (const auto& leg : path.legs) {
        PN_CHECK(scan(store, leg, leg.from, leg.to, [&](const WalRecord& record) {
            if (!found && wanted(record)) found = record;
        }));
        if (found) break;
    }
    return found;
}

}  // namespace penstock::backup
