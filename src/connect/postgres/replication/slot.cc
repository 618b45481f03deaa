#include "connect/postgres/replication/slot.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "base/log.h"
#include "connect/postgres/replication/replication_error.h"

namespace penstock::postgres {
namespace {

Error not_an_lsn(const Session& session, const std::string& text) {
    return {.kind = ErrorKind::internal,
            .code = "replication_protocol",
            .message = fmt::format("{} gave '{}' for a WAL position", session.place().text(), text)};
}

/// The query's columns, in the order read_slot() takes them; what a version does not know is NULL.
std::string slots_query(int version) {
    auto since = [&](int first, const char* column) { return version >= first ? column : "NULL"; };
    return fmt::format(
        "SELECT s.slot_name, s.plugin, s.database, s.slot_type = 'logical', s.temporary, s.active, s.active_pid, "
        "s.restart_lsn, s.confirmed_flush_lsn, {}, {}, {}, {}, {}, {}, "
        "(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() "
        "ELSE pg_catalog.pg_current_wal_lsn() END - s.restart_lsn)::bigint, {}, "
        // Of other roles' sessions only pid and name can be seen without pg_read_all_stats.
        "a.usename, a.application_name, pg_catalog.host(a.client_addr) "
        "FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid {}",
        since(130000, "s.wal_status"), since(130000, "s.safe_wal_size"), since(140000, "s.two_phase"),
        since(170000, "s.failover"), since(170000, "s.synced"), since(170000, "s.invalidation_reason"),
        since(140000, "t.total_txns"),
        version >= 140000 ? "LEFT JOIN pg_catalog.pg_stat_replication_slots t ON t.slot_name = s.slot_name" : "");
}

std::string text_or(const Rows& rows, int row, int column, const char* otherwise = "") {
    return rows.is_null(row, column) ? otherwise : rows.text(row, column);
}

std::optional<Lsn> lsn_or_none(const Rows& rows, int row, int column) {
    return rows.is_null(row, column) ? std::nullopt : Lsn::parse(rows.text(row, column));
}

std::optional<int64_t> number_or_none(const Rows& rows, int row, int column) {
    return rows.is_null(row, column) ? std::nullopt : std::optional(rows.integer(row, column));
}

std::string holder_of(const Rows& rows, int row) {
    if (rows.is_null(row, 6)) return "";
    std::string out = fmt::format("process {}", rows.text(row, 6));
    if (auto program = text_or(rows, row, 18); !program.empty()) out += fmt::format(", {}", program);
    if (auto user = text_or(rows, row, 17); !user.empty()) out += fmt::format(", user {}", user);
    if (!rows.is_null(row, 19)) out += fmt::format(", from {}", rows.text(row, 19));
    return out;
}

SlotState read_slot(const Rows& rows, int row) {
    auto truth = [&](int column) { return !rows.is_null(row, column) && rows.truth(row, column); };
    return {.name = rows.text(row, 0),
            .plugin = text_or(rows, row, 1),
            .database = text_or(rows, row, 2),
            .logical = truth(3),
            .temporary = truth(4),
            .active = truth(5),
            .active_pid = static_cast<int32_t>(number_or_none(rows, row, 6).value_or(0)),
            .holder = holder_of(rows, row),
            .restart_lsn = lsn_or_none(rows, row, 7),
            .confirmed_flush_lsn = lsn_or_none(rows, row, 8),
            .wal_status = text_or(rows, row, 9),
            .safe_wal_size = number_or_none(rows, row, 10),
            .retained_bytes = number_or_none(rows, row, 15),
            .two_phase = truth(11),
            .failover = truth(12),
            .synced = truth(13),
            .invalidation_reason = text_or(rows, row, 14),
            .transactions = number_or_none(rows, row, 16)};
}

}  // namespace

std::vector<TimelineSwitch> parse_timeline_history(std::string_view content) {
    std::vector<TimelineSwitch> switches;
    while (!content.empty()) {
        auto line = content.substr(0, content.find('\n'));
        content.remove_prefix(std::min(line.size() + 1, content.size()));
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        int64_t timeline = 0;
        auto [end, failure] = std::from_chars(line.data(), line.data() + line.size(), timeline);
        if (failure != std::errc()) continue;  // a comment, or an empty line
        line.remove_prefix(static_cast<size_t>(end - line.data()));
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        if (auto at = Lsn::parse(line.substr(0, line.find_first_of(" \t")))) switches.push_back({timeline, *at});
    }
    return switches;
}

Result<SystemIdentity> identify_system(Session& replication) {
    PN_ASSERT(replication.channel() == Session::Channel::replication);
    PN_TRY(auto rows, explained(replication.query("IDENTIFY_SYSTEM")));
    auto flushed = Lsn::parse(rows.text(0, 2));
    if (!flushed) return fail(not_an_lsn(replication, rows.text(0, 2)));
    SystemIdentity identity{
        .system = rows.text(0, 0), .timeline = rows.integer(0, 1), .flushed = *flushed, .database = rows.text(0, 3)};
    if (identity.timeline <= 1) return identity;
    PN_TRY(auto history, explained(replication.query(fmt::format("TIMELINE_HISTORY {}", identity.timeline))));
    identity.history = parse_timeline_history(history.text(0, 1));
    return identity;
}

std::string create_slot_command(const SlotRequest& request, int server_version) {
    bool two_phase = request.two_phase && server_version >= 140000;
    bool failover = request.failover && server_version >= 170000 && !request.temporary;
    std::string command = fmt::format("CREATE_REPLICATION_SLOT {} {}LOGICAL {}", quote_identifier(request.name),
                                      request.temporary ? "TEMPORARY " : "", quote_identifier(request.plugin));
    if (server_version < 150000) return command + " EXPORT_SNAPSHOT" + (two_phase ? " TWO_PHASE" : "");
    return fmt::format("{} (SNAPSHOT 'export'{}{})", command, two_phase ? ", TWO_PHASE true" : "",
                       failover ? ", FAILOVER true" : "");
}

Result<CreatedSlot> create_slot(Session& replication, const SlotRequest& request, std::stop_token stop) {
    PN_ASSERT(replication.channel() == Session::Channel::replication);
    auto command = create_slot_command(request, replication.server_version());
    PN_TRY(auto rows, explained(replication.query_patiently(command, stop, [&] {
               log::warning(
                   "the creation of slot {} waits for transactions that were open when it began: pg_stat_activity and "
                   "pg_prepared_xacts show them",
                   request.name);
           })));
    auto point = Lsn::parse(rows.text(0, 1));
    if (!point) return fail(not_an_lsn(replication, rows.text(0, 1)));
    return CreatedSlot{.consistent_point = *point, .snapshot = rows.text(0, 2)};
}

Result<Lsn> create_physical_slot(Session& replication, const std::string& name, bool temporary) {
    PN_ASSERT(replication.channel() == Session::Channel::replication);
    PN_CHECK(explained(replication.query(fmt::format("CREATE_REPLICATION_SLOT {} {}PHYSICAL (RESERVE_WAL true)",
                                                     quote_identifier(name), temporary ? "TEMPORARY " : ""))));
    PN_TRY(auto rows,
           explained(replication.query("SELECT restart_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = " +
                                       quote_literal(name))));
    auto from = rows.count() == 1 ? Lsn::parse(rows.text(0, 0)) : std::nullopt;
    if (!from) return fail(not_an_lsn(replication, rows.count() == 1 ? rows.text(0, 0) : ""));
    return *from;
}

Result<std::vector<SlotState>> list_slots(Session& session) {
    PN_TRY(auto rows, explained(session.query(slots_query(session.server_version()) + " ORDER BY s.slot_name")));
    std::vector<SlotState> slots;
    for (int row = 0; row < rows.count(); ++row) slots.push_back(read_slot(rows, row));
    return slots;
}

Result<std::optional<SlotState>> find_slot(Session& session, const std::string& name) {
    auto where = " WHERE s.slot_name = " + quote_literal(name);
    PN_TRY(auto rows, explained(session.query(slots_query(session.server_version()) + where)));
    if (rows.count() == 0) return std::optional<SlotState>();
    return std::optional(read_slot(rows, 0));
}

Status drop_slot(Session& session, const std::string& name) {
    PN_CHECK(
        explained(session.query(fmt::format("SELECT pg_catalog.pg_drop_replication_slot({})", quote_literal(name)))));
    return {};
}

Result<Lsn> advance_slot(Session& session, const std::string& name, Lsn to) {
    auto sql = fmt::format("SELECT end_lsn FROM pg_catalog.pg_replication_slot_advance({}, '{}')", quote_literal(name),
                           to.text());
    PN_TRY(auto rows, explained(session.query(sql)));
    auto reached = Lsn::parse(rows.text(0, 0));
    if (!reached) return fail(not_an_lsn(session, rows.text(0, 0)));
    return *reached;
}

}  // namespace penstock::postgres
