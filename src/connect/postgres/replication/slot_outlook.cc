#include "connect/postgres/replication/slot_outlook.h"

#include <fmt/format.h>

#include "base/humane.h"

namespace penstock::postgres {
namespace {

constexpr int64_t much_log = int64_t{1} << 30;
/// The server marks a place from which decoding may begin anew every 15 seconds (bgwriter.c) and at checkpoints: so much
/// between the two positions of a slot is nothing to speak of.
constexpr uint64_t usual_distance = uint64_t{256} << 20;

std::string bytes(std::optional<int64_t> count) {
    return humane_bytes(static_cast<uint64_t>(std::max<int64_t>(count.value_or(0), 0)));
}

}  // namespace

std::optional<Lsn> log_end(const SlotState& slot) {
    if (!slot.restart_lsn || !slot.retained_bytes) return std::nullopt;
    return Lsn(*slot.restart_lsn + static_cast<uint64_t>(std::max<int64_t>(*slot.retained_bytes, 0)));
}

std::optional<double> log_rate(const SlotState& before, const SlotState& after, std::chrono::duration<double> between) {
    auto from = log_end(before), to = log_end(after);
    if (!from || !to || between.count() <= 0 || *to < *from) return std::nullopt;
    return static_cast<double>(*to - *from) / between.count();
}

std::optional<SlotConcern> slot_concern(const SlotState& slot, const std::string& pipeline) {
    std::string run = pipeline.empty() ? "its pipeline" : fmt::format("`penstock run {}`", pipeline);
    std::string drop = fmt::format("`penstock slots drop {} --confirm`", slot.name);
    if (slot.lost()) {
        auto why = slot.invalidation_reason.empty() ? std::string() : fmt::format(" ({})", slot.invalidation_reason);
        return SlotConcern{true, false,
                           fmt::format("the server has given it up{}: changes it had not sent are gone", why),
                           fmt::format("{}{}", drop,
                                       slot.logical ? fmt::format(", then `penstock run --full-refresh {}` copies the "
                                                                  "tables again through a new slot",
                                                                  pipeline.empty() ? "…" : pipeline)
                                                    : "")};
    }
    if (slot.wal_status == "unreserved")
        return SlotConcern{true, false, "its log goes at the server's next checkpoint",
                           fmt::format("now: ALTER SYSTEM SET max_slot_wal_keep_size to more than {} and SELECT "
                                       "pg_reload_conf(), which keeps it; then let {} catch up",
                                       bytes(slot.retained_bytes), run)};
    if (slot.retained_bytes.value_or(0) > much_log && !slot.active)
        return SlotConcern{
            false, false,
            fmt::format("nobody reads it, and the server keeps {} of its log for it", bytes(slot.retained_bytes)),
            fmt::format("{}, or {} if it is done with", pipeline.empty() ? "run " + run : run, drop)};
    auto restart = slot.restart_lsn.value_or(0), confirmed = slot.confirmed_flush_lsn.value_or(0);
    if (confirmed > restart && confirmed - restart > usual_distance)
        return SlotConcern{
            false, true,
            fmt::format("what its reader has confirmed is kept all the same ({}): a transaction has been "
                        "open since",
                        humane_bytes(confirmed - restart)),
            "end it: pg_stat_activity (backend_xid) and pg_prepared_xacts show it"};
    return std::nullopt;
}

Result<std::string> oldest_writer(Session& session) {
    PN_TRY(
        auto rows,
        session.query("SELECT * FROM (SELECT pg_catalog.format('process %s of %s, user %s, in %s', pid, "
                      "coalesce(application_name, ''), usename, datname) AS who, xact_start AS since FROM "
                      "pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL UNION ALL "
                      "SELECT pg_catalog.format('prepared transaction %L of %s in %s', gid, owner, database), prepared "
                      "FROM pg_catalog.pg_prepared_xacts) AS open ORDER BY since LIMIT 1"));
    if (rows.count() == 0) return std::string();
    return fmt::format("{}, since {}", rows.text(0, 0), rows.text(0, 1));
}

}  // namespace penstock::postgres
