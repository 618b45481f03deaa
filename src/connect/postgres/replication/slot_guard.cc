#include "connect/postgres/replication/slot_guard.h"

#include <fmt/format.h>

#include "base/humane.h"

namespace penstock::postgres {
namespace {

/// Everything after what the target has is needed, and not to be had any more.
std::string start_over(const SlotClaim& claim, bool drop) {
    return fmt::format("{}`penstock run --full-refresh {}` copies the tables again{}",
                       drop ? fmt::format("`penstock slots drop {} --confirm`, then ", claim.slot) : "", claim.pipeline,
                       drop ? " through a new slot" : "");
}

Error problem(const SlotClaim& claim, ErrorKind kind, std::string code, std::string message, std::string hint) {
    return {.kind = kind,
            .code = std::move(code),
            .message = std::move(message),
            .where = fmt::format("pipelines.{}, slot {}", claim.pipeline, claim.slot),
            .hint = std::move(hint)};
}

/// Whether the server is the one the target was filled from, and has come by what the target has.
Status judge_system(const SlotClaim& claim, const SystemIdentity& system) {
    if (claim.system != system.system)
        return fail(
            problem(claim, ErrorKind::refused, "other_system",
                    fmt::format("the target was filled from another server: system {} at {}; this one is system {}",
                                claim.system, claim.held.text(), system.system),
                    "point the connection's url back at that server. If this one replaced it (pg_upgrade, a dump, a "
                    "logical copy): " +
                        start_over(claim, false)));
    if (system.timeline < claim.timeline)
        return fail(
            problem(claim, ErrorKind::refused, "diverged",
                    fmt::format("the server is on timeline {}, older than timeline {} that the target was filled from: "
                                "it is a copy from "
                                "before a failover or a recovery",
                                system.timeline, claim.timeline),
                    "point the connection's url at the server on the newer timeline; if there is none any more: " +
                        start_over(claim, true)));
    bool known = system.timeline == claim.timeline;
    for (const auto& left : system.history) {
        if (left.timeline != claim.timeline) continue;
        known = true;
        if (claim.held <= left.at) continue;
        return fail(problem(claim, ErrorKind::refused, "diverged",
                            fmt::format("the server left timeline {} at {} (a failover or a recovery), but the target "
                                        "has changes up to {} of it "
                                        "that this server never had",
                                        left.timeline, left.at.text(), claim.held.text()),
                            start_over(claim, true) +
                                "; a primary that waits for its standby by synchronized_standby_slots (PostgreSQL 17) "
                                "lets no capture get ahead of it"));
    }
    if (!known)
        return fail(
            problem(claim, ErrorKind::refused, "diverged",
                    fmt::format("the server is on timeline {}, which does not come from timeline {} that the target "
                                "was filled from",
                                system.timeline, claim.timeline),
                    start_over(claim, true)));
    if (system.flushed < claim.held)
        return fail(problem(
            claim, ErrorKind::refused, "server_behind",
            fmt::format(
                "the server's log ends at {}, but the target has changes up to {}: the server was set back (restored "
                "from a copy), or is a standby that has not caught up",
                system.flushed.text(), claim.held.text()),
            "a standby catches up: run again later. Otherwise: " + start_over(claim, true)));
    return {};
}

/// Whether it is a slot that could serve.
Status judge_fitness(const SlotClaim& claim, const SlotState& slot) {
    if (!slot.logical)
        return fail(problem(claim, ErrorKind::configuration, "slot_physical",
                            fmt::format("slot {} is a physical one: it belongs to a standby or a backup", claim.slot),
                            "name another slot:"));
    if (slot.database != claim.database)
        return fail(
            problem(claim, ErrorKind::configuration, "slot_database",
                    fmt::format("slot {} belongs to database {}, not to {}", claim.slot, slot.database, claim.database),
                    "name another slot:, or the slot's database in the connection's url"));
    bool known = slot.plugin == "pgoutput" || slot.plugin == "wal2json";  // the choices of `plugin:`
    if (slot.plugin != claim.plugin)
        return fail(
            problem(claim, ErrorKind::configuration, "slot_plugin",
                    fmt::format("slot {} writes by plugin {}, not by {}", claim.slot, slot.plugin, claim.plugin),
                    known ? fmt::format("set plugin: {}, or name another slot:", slot.plugin)
                          : "name another slot:, which `create: true` makes; this one belongs to somebody else"));
    if (slot.lost()) {
        auto why = slot.invalidation_reason.empty() ? std::string() : fmt::format(" ({})", slot.invalidation_reason);
        bool room = slot.invalidation_reason.empty() || slot.invalidation_reason == "wal_removed";
        return fail(
            problem(claim, ErrorKind::refused, "slot_lost",
                    fmt::format("the server has given up slot {}{}: changes after {} are gone", claim.slot, why,
                                claim.held != 0 ? claim.held.text() : "its last position"),
                    start_over(claim, true) +
                        (room ? "; so that it lasts longer, raise max_slot_wal_keep_size or run more often" : "")));
    }
    return {};
}

Error moved(const SlotClaim& claim, const SlotState& slot) {
    auto to = slot.confirmed_flush_lsn.value_or(0);
    // Its statistics begin with the slot. One that has sent nothing cannot have sent what the target has.
    bool anew = slot.transactions == 0;
    auto gap = humane_bytes(to - claim.held);
    if (anew)
        return problem(
            claim, ErrorKind::refused, "slot_recreated",
            fmt::format("slot {} was dropped and created again: it begins at {}, the target ends at {}, and changes "
                        "in the {} of log between them are gone",
                        claim.slot, to.text(), claim.held.text(), gap),
            start_over(claim, true));
    return problem(
        claim, ErrorKind::refused, "slot_advanced",
        fmt::format("somebody else read or moved slot {}{}: it stands at {}, the target ends at {}, and changes in the "
                    "{} of log between them are gone",
                    claim.slot, slot.holder.empty() ? "" : fmt::format(" (now held by {})", slot.holder), to.text(),
                    claim.held.text(), gap),
        "find who else reads it and give each reader a slot of its own; then " + start_over(claim, true));
}

}  // namespace

Status judge_slot(const SlotClaim& claim, const SystemIdentity& system, const std::optional<SlotState>& slot) {
    bool remembered = claim.held != 0;
    if (remembered) PN_CHECK(judge_system(claim, system));
    if (!slot)
        return fail(problem(
            claim, ErrorKind::refused, "slot_missing",
            fmt::format("slot {} does not exist: it was dropped, or the server failed over without it", claim.slot),
            remembered ? start_over(claim, false) +
                             " through a new slot; with `failover: true` (PostgreSQL 17) standbys keep it"
                       : "create it, or let `create: true` do so"));
    PN_CHECK(judge_fitness(claim, *slot));
    if (remembered && slot->confirmed_flush_lsn.value_or(0) > claim.held) return fail(moved(claim, *slot));
    if (slot->active && slot->active_pid != claim.own_pid)
        return fail(
            problem(claim, ErrorKind::conflict, "slot_active",
                    fmt::format("slot {} is being read by somebody else: {}", claim.slot,
                                slot->holder.empty() ? fmt::format("process {}", slot->active_pid) : slot->holder),
                    "stop it, or give this pipeline a slot of its own. A reader that was cut off is let go after the "
                    "server's wal_sender_timeout"));
    return {};
}

}  // namespace penstock::postgres
