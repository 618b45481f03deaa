#include "backup/prune.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "backup/wal_path.h"
#include "base/failpoint.h"
#include "io/object_store.h"

namespace penstock::backup {
namespace {

/// A run that goes on puts a part now and then.
constexpr auto longest_pause = std::chrono::hours(24);

struct Parts {
    uint64_t objects = 0;
    uint64_t bytes = 0;
    TimePoint newest{};
};

/// By id.
Result<std::map<std::string, Parts>> list_parts(const Catalog& catalog) {
    PN_TRY(auto objects, catalog.store().list(catalog.path("parts/")));
    std::map<std::string, Parts> parts;
    size_t above = catalog.path("parts/").size();
    for (const auto& object : objects) {
        auto& of = parts[object.name.substr(above, object.name.find('/', above) - above)];
        ++of.objects;
        of.bytes += object.size;
        of.newest = std::max(of.newest, object.modified);
    }
    return parts;
}

Result<RetainedBackup> retained(const BackupRecord& record, const std::optional<WalStore>& store,
                                const WalIndex& index) {
    RetainedBackup backup{.id = record.id,
                          .parent = record.parent,
                          .ended_at = record.ended_at,
                          .timeline = record.end_timeline,
                          .end = Lsn::parse(record.end_lsn).value_or(Lsn()),
                          .later_timelines = {}};
    if (!store) return backup;
    PN_TRY(auto path, follow_wal(*store, index, backup.timeline, backup.end));
    for (const auto& leg : path.legs)
        if (leg.stretch->timeline != backup.timeline) backup.later_timelines.insert(leg.stretch->timeline);
    return backup;
}

Status interrupted() {
    return fail({.kind = ErrorKind::interrupted,
                 .code = "interrupted",
                 .message = "stopped while removing what is not kept any more",
                 .hint = "the same command goes on"});
}

Status remove_parts_of(const Catalog& catalog, const std::string& id, const std::stop_token& stop) {
    PN_TRY(auto objects, catalog.store().list(catalog.path(fmt::format("parts/{}/", id))));
    for (const auto& object : objects) {
        if (stop.stop_requested()) return interrupted();
        PN_FAILPOINT(prune_object_before);
        PN_CHECK(catalog.store().remove(object.name));
    }
    return {};
}

Status prune_wal(const Catalog& catalog, const RetentionPlan& plan, const std::stop_token& stop) {
    if (plan.pieces.empty()) return {};
    PN_TRY(auto store, WalStore::open(catalog));
    if (!store) return {};
    for (const auto& [timeline, at] : plan.new_beginnings) PN_CHECK(store->put_beginning(timeline, at));
    for (const auto& piece : plan.pieces) {
        if (stop.stop_requested()) return interrupted();
        PN_FAILPOINT(prune_object_before);
        PN_CHECK(store->remove(piece));
    }
    for (const auto& [timeline, at] : plan.beginnings) PN_CHECK(store->remove_beginning(timeline, at));
    return {};
}

}  // namespace

Result<PrunePlan> plan_prune(const Catalog& catalog, const Retention& retention, TimePoint now) {
    PrunePlan plan;
    // Parts before entries: a backup that ends in between has its entry in what is read second.
    PN_TRY(auto parts, list_parts(catalog));
    PN_TRY(auto entries, catalog.list());
    PN_TRY(auto store, WalStore::open(catalog));
    WalIndex index;
    if (store) {
        PN_TRY(index, store->index());
    }
    std::vector<RetainedBackup> backups;
    for (const auto& [id, record] : entries) {
        if (!record) {
            plan.unreadable.push_back(id);
            continue;
        }
        PN_TRY(auto backup, retained(*record, store, index));
        backups.push_back(std::move(backup));
    }
    plan.what = plan_retention(retention, now, std::move(backups), store ? store->layout() : WalLayout(), index);
    // Nobody knows what log an entry needs that cannot be read, nor what it is built on.
    if (!plan.unreadable.empty()) {
        plan.what.backups.clear();
        plan.what.pieces.clear();
        plan.what.new_beginnings.clear();
        plan.what.beginnings.clear();
    }
    for (const auto& [id, of] : parts) {
        bool known = std::ranges::find(entries, id, &Catalog::Entry::id) != entries.end();
        bool going = std::ranges::find(plan.what.backups, id) != plan.what.backups.end();
        if (!known && now - of.newest > longest_pause) plan.leftovers.push_back(id);
        else if (!going) continue;
        plan.objects += of.objects;
        plan.bytes += of.bytes;
    }
    for (const auto& piece : plan.what.pieces) {
        ++plan.objects;
        plan.bytes += piece.stored_bytes;
    }
    return plan;
}

Status prune(const Catalog& catalog, const PrunePlan& plan, const std::stop_token& stop) {
    for (const auto& id : plan.what.backups) {
        if (stop.stop_requested()) return interrupted();
        PN_FAILPOINT(prune_entry_before);
        PN_CHECK(catalog.store().remove(catalog.path(fmt::format("catalog/{}.json", id))));
        PN_CHECK(remove_parts_of(catalog, id, stop));
    }
    for (const auto& id : plan.leftovers) PN_CHECK(remove_parts_of(catalog, id, stop));
    return prune_wal(catalog, plan.what, stop);
}

}  // namespace penstock::backup
