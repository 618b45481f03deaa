// Tables that are read whole: the slot whose snapshot they are read in, and a segment a table.
#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/humane.h"
#include "base/log.h"
#include "connect/postgres/capture/change_source.h"
#include "connect/postgres/ranges.h"
#include "connect/postgres/table_scan.h"

namespace penstock::postgres {
namespace {

Error changed_at_start(const std::string& table, std::string message) {
    return {.kind = ErrorKind::unavailable,
            .code = "table_changed",
            .message = std::move(message),
            .where = "table " + table,
            .hint = "what came before is in the target; a retry sees the new shape"};
}

}  // namespace

Status ChangeSource::open_slot(Session& replication) {
    std::vector<size_t> unread;  // begin as they are
    if (changes().snapshot == SnapshotChoice::never) {
        auto first = [&](size_t table) { return captured_[table].state == State::first; };
        std::ranges::copy_if(pending_, std::back_inserter(unread), first);
        std::erase_if(pending_, first);
    }
    PN_TRY(auto slot, find_slot(*catalog_, changes().slot.value));
    if (!slot && held_ == 0 && changes().create) {
        PN_FAILPOINT(slot_create_before);
        PN_CHECK(take_snapshot({.name = changes().slot.value,
                                .plugin = std::string(to_string(changes().plugin)),
                                .failover = changes().failover},
                               replication));
        PN_FAILPOINT(slot_create_after);
        streamed_ = snapshot_at_;
    } else {
        PN_CHECK(judge(0));
        PN_CHECK(plugin_->check_server(*catalog_, plan_));
        if (held_ == 0) streamed_ = slot->confirmed_flush_lsn.value_or(Lsn());
        if (!pending_.empty()) {
            say_what_is_read();
            // Its name is this process's own; it goes with the session.
            PN_CHECK(take_snapshot(
                {.name = fmt::format("penstock_snapshot_{}", PQbackendPID(replication.raw())), .temporary = true},
                replication));
            // All tables are read anew: what the slot holds of before is not wanted, and may have other shapes.
            if (held_ == 0 && unread.empty()) streamed_ = snapshot_at_;
        }
    }
    if (held_ == 0) born_ = streamed_;
    catch_up_first();
    for (size_t table : pending_) captured_[table].from = snapshot_at_, captured_[table].known.clear();
    for (size_t table : pending_) know(table, snapshot_at_);
    for (size_t table : unread) captured_[table].from = streamed_, captured_[table].state = State::follows;
    return {};
}

void ChangeSource::catch_up_first() {
    auto streams = [&](size_t table) {
        return captured_[table].state == State::again && captured_[table].why.streams && streamed_ < snapshot_at_;
    };
    std::ranges::copy_if(pending_, std::back_inserter(catching_up_), streams);
    std::erase_if(pending_, streams);
}

void ChangeSource::say_what_is_read() const {
    for (size_t table : pending_) {
        if (captured_[table].state != State::again) continue;
        const auto& info = plan_.tables[table].read.info;
        std::string size =
            info.estimated_rows < 0 ? "" : fmt::format(", about {} rows", humane_count(info.estimated_rows));
        if (info.estimated_bytes >= 0)
            size += fmt::format(", {}", humane_bytes(static_cast<uint64_t>(info.estimated_bytes)));
        log::warning("{} is read anew{}: {}", info.name, size, captured_[table].why.message);
    }
}

Status ChangeSource::take_snapshot(const SlotRequest& request, Session& replication) {
    PN_TRY(auto clock, catalog_->query("SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"));
    snapshot_micros_ = clock.integer(0, 0);
    PN_TRY(auto slot, create_slot(replication, request, stop_));
    snapshot_at_ = slot.consistent_point;
    if (pending_.empty()) return request.temporary ? Status() : plugin_->check_server(*catalog_, plan_);
    std::vector<std::string> tables;
    for (size_t table : pending_)
        tables.push_back(fmt::format("{}.{}", quote_identifier(plan_.tables[table].read.schema),
                                     quote_identifier(plan_.tables[table].read.relation)));
    auto adopted = Snapshot::adopt(options_.connection, options_.purpose, slot.snapshot, tables, stop_);
    Status status = adopted ? same_shape() : fail(std::move(adopted.error()));
    if (status && !request.temporary) status = plugin_->check_server(*catalog_, plan_);
    if (status) {
        snapshot_ = std::move(*adopted);
        return {};
    }
    // Nothing was read: a slot that was made for this goes again, so that the next try makes it with its own snapshot.
    if (!request.temporary)
        if (auto dropped = drop_slot(replication, request.name); !dropped)
            log::warning("slot {} was made and could not be dropped again: {}", request.name, dropped.error().message);
    return status;
}

/// The tables are locked now: they must still have the shape that the readers were chosen for.
Status ChangeSource::same_shape() {
    PN_TRY(auto plan, plan_changes(*catalog_, options_.source, options_.policies, options_.holds));
    for (size_t table : pending_) {
        const auto& read = plan_.tables[table].read;
        auto same = [&](const ChangeTable& other) {
            return other.read.oid == read.oid && other.read.info.schema.fields == read.info.schema.fields;
        };
        if (std::ranges::none_of(plan.tables, same))
            return fail(changed_at_start(read.info.name,
                                         fmt::format("table {} was altered while the run began", read.info.name)));
    }
    return {};
}

Result<flow::Segment> ChangeSource::snapshot_segment(size_t table) {
    const auto& read = plan_.tables[table].read;
    bool whole = captured_[table].state == State::again;
    captured_[table].state = State::follows;
    captured_[table].from = snapshot_at_;
    PN_TRY(auto ranges, divide({.read = read, .condition = "", .parallel = options_.parallel}, snapshot_->holder()));
    auto rows = std::make_unique<TableScan>(
        ScanPlan{.read = read,
                 .snapshot = *snapshot_,
                 .context = *captured_[table].context,
                 .ranges = std::move(ranges),
                 .parallel = options_.parallel,
                 .key = read.info.key,
                 .checkpoint = [](int64_t) -> Result<flow::Checkpoint> { return flow::Checkpoint{}; }});
    auto scan =
        std::make_unique<SnapshotScan>(read.info, std::move(rows), snapshot_at_, snapshot_micros_, checkpoint(table));
    if ((whole || captured_[table].by_hand) && options_.holds.old_rows)
        scan->clear_first(captured_[table].context->progress);
    flow::Segment segment;
    segment.parts.push_back({.table = table, .scan = std::move(scan), .last = false, .whole = whole});
    if (kept_) segment.stream = stream_checkpoint();
    return segment;
}

}  // namespace penstock::postgres
