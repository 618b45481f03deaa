#include "backup/wal_start.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/humane.h"
#include "base/log.h"
#include "connect/postgres/replication/replication_error.h"

namespace penstock::backup {
namespace {

Error refused(const std::string& backup, std::string code, std::string message) {
    return {
        .kind = ErrorKind::refused,
        .code = std::move(code),
        .message = std::move(message),
        .where = "backups." + backup,
        .hint =
            "point the connection at the server whose log this is. If another has taken its place for good, give its "
            "backups a `store: path:` of their own, and take a full one"};
}

}  // namespace

uint32_t timeline_at(const postgres::SystemIdentity& server, Lsn at) {
    for (const auto& left : server.history)
        if (at < left.at) return static_cast<uint32_t>(left.timeline);
    return static_cast<uint32_t>(server.timeline);
}

std::optional<postgres::TimelineSwitch> next_timeline(const postgres::SystemIdentity& server, uint32_t timeline) {
    for (size_t i = 0; i < server.history.size(); ++i)
        if (server.history[i].timeline == timeline)
            return postgres::TimelineSwitch{
                .timeline = i + 1 < server.history.size() ? server.history[i + 1].timeline : server.timeline,
                .at = server.history[i].at};
    return std::nullopt;
}

Result<WalStart> find_wal_start(const WalStretch& stored, const WalLayout& layout,
                                const postgres::SystemIdentity& server, const std::string& backup) {
    auto next = next_timeline(server, stored.timeline);
    if (server.timeline != stored.timeline && !next)
        return fail(refused(
            backup, "diverged",
            fmt::format(
                "the server is on timeline {}, which does not come from timeline {}, whose log is stored up to {}",
                server.timeline, stored.timeline, stored.to.text())));
    if (next && stored.to >= next->at) {
        if (stored.to > next->at)
            log::warning(
                "the server left timeline {} at {}; {} of it behind that are stored, which this server never had: "
                "restores follow timeline {}",
                stored.timeline, next->at.text(), humane_bytes(stored.to - next->at), next->timeline);
        auto from = layout.segment_start(next->at);
        return WalStart{.timeline = static_cast<uint32_t>(next->timeline), .from = from, .stored = from};
    }
    if (!next && server.flushed < stored.to)
        return fail(
            refused(backup, "server_behind",
                    fmt::format("the server's log ends at {}, and it is stored up to {}: the server was set back "
                                "(restored from a copy), or is a standby that has not caught up",
                                server.flushed.text(), stored.to.text())));
    return WalStart{.timeline = stored.timeline, .from = layout.block_start(stored.to), .stored = stored.to};
}

Status enter_timeline(postgres::Session& replication, const WalStore& store, const WalIndex& index, uint32_t timeline,
                      Lsn at) {
    if (timeline > 1) {
        PN_TRY(auto rows, postgres::explained(replication.query(fmt::format("TIMELINE_HISTORY {}", timeline))));
        auto content = rows.text(0, 1);
        if (!index.histories.contains(timeline)) {
            PN_CHECK(store.put_history(timeline, content));
        } else {
            PN_TRY(auto known, store.get_history(timeline));
            if (known != content)
                return fail(
                    refused(store.catalog().url(history_name(timeline)), "diverged",
                            fmt::format("the server came to timeline {} by another way than the server whose log is "
                                        "stored: both were promoted from one",
                                        timeline)));
        }
    }
    return store.put_beginning(timeline, at);
}

Error wal_gap(const std::string& backup, const std::string& slot, Lsn stored, std::string_view why) {
    return {
        .kind = ErrorKind::refused,
        .code = "wal_gap",
        .message = fmt::format("the log behind {} is gone from the server: {}", stored.text(), why),
        .where = fmt::format("backups.{}, slot {}", backup, slot),
        .hint = fmt::format(
            "`penstock backup wal {0} --accept-gap` goes on behind the gap; then take a full backup (`penstock backup "
            "run {0}`): restores to a time in between need one from behind it. What is stored up to {1} stays good. So "
            "that the log lasts longer, raise max_slot_wal_keep_size, and let nobody drop the slot",
            backup, stored.text())};
}

}  // namespace penstock::backup
