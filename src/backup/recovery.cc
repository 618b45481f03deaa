#include "backup/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>
#include <vector>

#include "backup/wal_fetch.h"
#include "backup/wal_path.h"

namespace penstock::backup {
namespace {

using Kind = RecoveryTarget::Kind;

Lsn end_of_backup(const BackupRecord& backup) { return Lsn::parse(backup.end_lsn).value_or(Lsn()); }

Error not_reached(const std::string& what, const std::string& reach, const std::string& hint) {
    return {.kind = ErrorKind::refused,
            .code = "target_not_reached",
            .message = fmt::format("{} cannot be restored: {}", what, reach),
            .hint = hint};
}

std::string described(const RecoveryTarget& target) {
    switch (target.kind) {
        case Kind::latest: return "the latest state";
        case Kind::time: return "the state at " + iso_time(target.time);
        case Kind::lsn: return "the state at " + target.lsn.text();
        case Kind::name: return fmt::format("restore point '{}'", target.text);
        case Kind::xid: return fmt::format("transaction {}", target.xid);
    }
    std::unreachable();
}

/// One backup, and the log behind it.
class Reaching {
  public:
    Reaching(const std::optional<WalStore>& store, const WalIndex& index, const RecoveryTarget& target)
        : store_(store), index_(index), target_(target) {}

    /// Whether the backup had ended before the target, as far as that can be told without reading the log.
    bool before_target(const BackupRecord& backup) const {
        if (target_.kind == Kind::time) return backup.ended_at <= target_.time;
        if (target_.kind == Kind::lsn) return end_of_backup(backup) <= target_.lsn;
        return true;
    }

    /// Nothing where the target is not behind this backup, but may be behind an older one.
    Result<std::optional<RecoveryPlan>> from(BackupRecord backup) {
        PN_TRY(auto path, path_of(backup));
        if (path.legs.empty()) return without_log(std::move(backup), path);
        PN_TRY(auto end, end_of(*store_, path));
        Recovery recovery{.target = target_, .timeline = path.timeline, .reach = path.end()};
        if (end.record) recovery.reach = end.record->end;
        if (end.transaction) recovery.reach_time = end.transaction->at;
        if (path.behind_gap != nullptr) {
            if (!path.behind_gap->begins && target_.kind == Kind::latest)
                return fail(missing_wal(*store_, *path.behind_gap));
            if (path.behind_gap->begins) recovery.gap_to = path.behind_gap->from;
        }
        note_reach(recovery, path);
        PN_TRY(bool there, reach_target(backup, path, recovery));
        if (!there) return std::optional<RecoveryPlan>();
        return std::optional(RecoveryPlan{.backup = std::move(backup), .recovery = std::move(recovery)});
    }

    Error nowhere() const {
        return not_reached(described(target_), reach_.empty() ? "there is no backup that ended before it" : reach_,
                           reach_.empty()
                               ? "`penstock backup list` shows what there is"
                               : "`--latest` restores as far as it reaches; `penstock backup wal` brings more");
    }

  private:
    void note_reach(const Recovery& recovery, const WalPath& path) {
        if (!reach_.empty()) return;
        reach_ = fmt::format("the stored log reaches to {}", recovery.reach.text());
        if (recovery.reach_time) reach_ += ", where the last transaction ended at " + iso_time(*recovery.reach_time);
        if (path.behind_gap != nullptr)
            reach_ += fmt::format("; then some is missing up to {}", path.behind_gap->from.text());
    }

    Result<WalPath> path_of(const BackupRecord& backup) {
        if (!store_) return WalPath();
        if (store_->system_identifier() != backup.system_identifier) return WalPath();
        return follow_wal(*store_, index_, backup.end_timeline, end_of_backup(backup));
    }

    /// A backup whose end is not in the stored log: it can be restored as it is.
    Result<std::optional<RecoveryPlan>> without_log(BackupRecord backup, const WalPath& path) {
        if (path.behind_gap != nullptr && !path.behind_gap->begins) return fail(missing_wal(*store_, *path.behind_gap));
        if (target_.kind == Kind::latest)
            return std::optional(RecoveryPlan{.backup = std::move(backup), .recovery = std::nullopt});
        if (reach_.empty())
            reach_ = fmt::format("the log behind backup {} is not stored, which ends at {}", backup.id, backup.end_lsn);
        if (target_.kind == Kind::lsn && target_.lsn == end_of_backup(backup))
            return std::optional(RecoveryPlan{.backup = std::move(backup), .recovery = std::nullopt});
        return std::optional<RecoveryPlan>();
    }

    Result<bool> reach_target(const BackupRecord& backup, const WalPath& path, Recovery& recovery) {
        switch (target_.kind) {
            case Kind::latest: return true;
            // PostgreSQL knows that it is there by the first transaction behind it.
            case Kind::time: return recovery.reach_time && *recovery.reach_time > target_.time;
            case Kind::lsn: {
                if (target_.lsn > recovery.reach) return false;
                PN_TRY(auto last, last_record(*store_, path, target_.lsn));
                recovery.record = last ? last->start : end_of_backup(backup);
                return true;
            }
            case Kind::name:
            case Kind::xid: {
                PN_TRY(auto found, find_record(*store_, path, [&](const WalRecord& record) {
                           return target_.kind == Kind::name ? record.restore_point == target_.text
                                                             : record.ends_transaction && record.xid == target_.xid;
                       }));
                if (found) recovery.record = found->start;
                return found.has_value();
            }
        }
        std::unreachable();
    }

    const std::optional<WalStore>& store_;
    const WalIndex& index_;
    const RecoveryTarget& target_;
    std::string reach_;  ///< of the newest backup
};

}  // namespace

Result<RecoveryPlan> plan_recovery(const Catalog& catalog, const std::string& id, const RecoveryTarget& target) {
    PN_TRY(auto store, WalStore::open(catalog));
    WalIndex index;
    if (store) {
        PN_TRY(index, store->index());
    }
    Reaching reaching(store, index, target);
    PN_TRY(auto newest, catalog.find(id));
    std::vector<BackupRecord> candidates{std::move(newest)};
    if (id.empty() && target.kind != Kind::latest) {
        PN_TRY(auto entries, catalog.list());
        candidates.clear();
        for (auto& entry : entries | std::views::reverse) {
            if (!entry.record) return fail(std::move(entry.record.error()));
            candidates.push_back(std::move(*entry.record));
        }
    }
    for (auto& candidate : candidates) {
        if (!reaching.before_target(candidate)) continue;
        PN_TRY(auto plan, reaching.from(std::move(candidate)));
        if (!plan) continue;
        PN_TRY(plan->parents, catalog.parents(plan->backup));
        return std::move(*plan);
    }
    return fail(reaching.nowhere());
}

}  // namespace penstock::backup
