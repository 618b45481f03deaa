#include "connect/postgres/capture/change_replay.h"

#include <fmt/format.h>

#include <algorithm>

#include "connect/postgres/replay.h"
#include "connect/postgres/table_scan.h"

namespace penstock::postgres {
namespace {

bool has_rejects(const std::vector<flow::RejectRecord>& rejects, const flow::TableInfo& table) {
    return std::ranges::any_of(rejects, [&](const auto& record) { return record.reject.table == table.name; });
}

Error without_key(const flow::TableInfo& table) {
    return {.kind = ErrorKind::usage,
            .code = "replay_not_available",
            .message = fmt::format("table {} has no key by which a rejected row could be read again", table.name),
            .where = "table " + table.name,
            .hint = "run once with --full-refresh, which reads the tables anew; or give the table a primary key"};
}

}  // namespace

Result<std::vector<flow::TableInfo>> ChangeReplay::discover(std::stop_token stop) {
    stop_ = stop;
    PN_TRY(catalog_, Session::connect(options_.connection, options_.purpose, stop));
    PN_TRY(plan_, plan_changes(*catalog_, options_.source, options_.policies, options_.holds));
    std::erase_if(plan_.tables, [&](const auto& table) { return !has_rejects(rejects_, table.read.info); });
    std::vector<flow::TableInfo> tables;
    for (const auto& table : plan_.tables) {
        if (table.key.empty()) return fail(without_key(table.read.info));
        tables.push_back(table.read.info);
    }
    return tables;
}

Status ChangeReplay::open(std::vector<flow::TableRead> tables) {
    wanted_ = std::move(tables);
    PN_TRY(auto now, catalog_->query("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                                     "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, "
                                     "(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"));
    at_ = Lsn::parse(now.text(0, 0)).value_or(Lsn());
    at_micros_ = now.integer(0, 1);
    std::vector<std::string> names;
    for (const auto& table : plan_.tables)
        names.push_back(
            fmt::format("{}.{}", quote_identifier(table.read.schema), quote_identifier(table.read.relation)));
    PN_TRY(snapshot_, Snapshot::take(options_.connection, options_.purpose, names, stop_));
    // The tables can no longer change their shape; they must still have the one that the readers were chosen for.
    PN_TRY(auto plan, plan_changes(*catalog_, options_.source, options_.policies, options_.holds));
    for (const auto& table : plan_.tables) {
        auto same = [&](const ChangeTable& other) {
            return other.read.oid == table.read.oid && other.read.info.schema.fields == table.read.info.schema.fields;
        };
        if (std::ranges::any_of(plan.tables, same)) continue;
        return fail({.kind = ErrorKind::unavailable,
                     .code = "table_changed",
                     .message = fmt::format("table {} was altered while the replay began", table.read.info.name),
                     .where = "table " + table.read.info.name,
                     .hint = "nothing was read; a retry sees the new shape"});
    }
    return {};
}

Result<std::optional<flow::Segment>> ChangeReplay::next() {
    if (next_ == wanted_.size()) return std::nullopt;
    const auto& wanted = wanted_[next_++];
    const auto& read = plan_.tables[wanted.table].read;
    auto given = wanted.from.value_or(flow::Checkpoint{});
    auto rows = std::make_unique<TableScan>(
        ScanPlan{.read = read,
                 .snapshot = *snapshot_,
                 .context = wanted.context,
                 .ranges = replay_ranges(read, rejects_),
                 .parallel = 1,
                 .key = read.info.key,
                 .checkpoint = [given](int64_t) -> Result<flow::Checkpoint> { return given; }});
    flow::Segment segment;
    segment.parts.push_back(
        {.table = wanted.table,
         .scan = std::make_unique<SnapshotScan>(read.info, std::move(rows), at_, at_micros_, given)});
    return segment;
}

}  // namespace penstock::postgres
