#include "backup/recovery_window.h"

#include <map>
#include <utility>

#include "backup/wal_path.h"

namespace penstock::backup {

Result<std::vector<std::optional<RecoveryWindow>>> recovery_windows(const Catalog& catalog,
                                                                    const std::vector<Catalog::Entry>& entries) {
    std::vector<std::optional<RecoveryWindow>> windows(entries.size());
    PN_TRY(auto store, WalStore::open(catalog));
    if (!store) return windows;
    PN_TRY(auto index, store->index());
    std::map<std::pair<uint32_t, Lsn>, WalEnd> ends;  // backups of one stretch share its end
    for (size_t i = 0; i < entries.size(); ++i) {
        const auto& record = entries[i].record;
        if (!record || record->system_identifier != store->system_identifier()) continue;
        auto from = Lsn::parse(record->end_lsn).value_or(Lsn());
        PN_TRY(auto path, follow_wal(*store, index, record->end_timeline, from));
        if (path.legs.empty()) continue;
        auto key = std::pair(path.timeline, path.end());
        if (!ends.contains(key)) {
            PN_TRY(ends[key], end_of(*store, path));
        }
        const auto& end = ends[key];
        RecoveryWindow window{.timeline = path.timeline, .to = path.end(), .to_time = {}};
        if (end.record) window.to = end.record->end;
        if (end.transaction && end.transaction->start >= from) window.to_time = end.transaction->at;
        window.missing = path.behind_gap != nullptr && !path.behind_gap->begins;
        windows[i] = window;
    }
    return windows;
}

}  // namespace penstock::backup
