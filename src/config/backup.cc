#include "config/backup.h"

#include <utility>

#include "config/spec.h"

namespace penstock::config {
namespace {

const Spec<BackupStore>& backup_store_spec() {
    using S = BackupStore;
    static const auto made =
        Spec<S>("backup store", "Where the objects of a backup are. Each is compressed and encrypted before it leaves.")
            .required("connection", &S::connection, "The name of a files connection of this file.", {.example = "lake"})
            .required("path", &S::path, "The folder below the connection's URL. No two backups may share one.",
                      {.example = "backups/shop"})
            .required("encrypt", &S::encrypt,
                      "The key of AES-256-GCM: 32 random bytes as 64 hexadecimal digits or in base64 (`openssl rand "
                      "-hex 32`). "
                      "Without it there is no restore: keep it elsewhere, too.",
                      {.example = "\"${BACKUP_KEY}\""});
    return made;
}

const Spec<BackupWal>& backup_wal_spec() {
    using W = BackupWal;
    static const auto made =
        Spec<W>("backup wal", "The server's log, so that any time since a full backup can be restored.")
            .field("stream", &W::stream,
                   "Whether `penstock backup wal` may receive it, through a physical replication slot.")
            .field("slot", &W::slot, "The slot's name. It is made where it is not there.",
                   {.default_note = "penstock_wal_ and the backup's name"})
            .field("interval", &W::interval,
                   "What was received is stored after this at the latest: so much is lost at most with the server's "
                   "machine.",
                   {.example = "1s"});
    return made;
}

const Spec<BackupKeep>& backup_keep_spec() {
    using K = BackupKeep;
    static const auto made =
        Spec<K>("backup keep", "What `penstock backup prune` leaves. Where both are given, what either keeps.")
            .field("days", &K::days, "Any time of the last so many days can be restored.",
                   {.example = "30", .least = 0, .most = 36500})
            .field("full", &K::full, "The newest so many full backups, and the log behind the oldest of them.",
                   {.example = "4", .least = 1, .most = 100000})
            .at_least_one_of({"days", "full"});
    return made;
}

const Spec<Times>& backup_times_spec() {
    static const auto made = Spec<Times>("backup times", "When `penstock serve` takes backups.")
                                 .include(times_spec())
                                 .at_least_one_of({"schedule"});
    return made;
}

const Spec<BackupDrill>& backup_drill_spec() {
    using D = BackupDrill;
    static const auto made =
        Spec<D>("backup drill", "What `penstock backup drill` asks of the server that it restores and throws away.")
            .field("queries", &D::queries,
                   "Queries of yours, read only, as a superuser of the restored server: an error fails the drill.",
                   {.example = "[\"SELECT count(*) FROM orders\"]"})
            .field("verify", &D::verify,
                   "Batch pipelines from this server's tables: their targets are compared with the restored server.",
                   {.example = "[orders]"})
            .field("database", &D::database, "The database that the queries are asked in.",
                   {.default_note = "that of the backup's connection"})
            .field("folder", &D::folder,
                   "The server is restored into a folder of its own in here, which needs the room for it.",
                   {.default_note = "/var/tmp"})
            .field("programs", &D::programs, "The folder of the `postgres` to start, of the backup's major version.",
                   {.example = "/usr/lib/postgresql/15/bin",
                    .default_note = "where Debian and Red Hat have it, else PATH"})
            .field(
                "libraries", &D::libraries,
                "What the restored server loads for its tables or its log (`shared_preload_libraries`). Nothing else "
                "is, for "
                "some libraries run jobs of their own.",
                {.example = "[timescaledb]"})
            .include(times_spec());
    return made;
}

}  // namespace

const Spec<Backup>& backup_spec() {
    using B = Backup;
    static const auto made =
        Spec<B>("backup", "The backups of a whole PostgreSQL server.")
            .required("connection", &B::connection,
                      "The name of a postgres connection of this file. Its user needs REPLICATION.",
                      {.example = "shop"})
            .required("store", &B::store, backup_store_spec(), "Where the backups are.")
            .field("wal", &B::wal, backup_wal_spec(), "How the log between backups is kept, by `penstock backup wal`.")
            .field("keep", &B::keep, backup_keep_spec(), "What stays when old backups and log are removed.")
            .choice("tier", &B::tier,
                    {{"critical", RecoveryTier::critical, "An hour to recover, five minutes lost."},
                     {"important", RecoveryTier::important, "Four hours to recover, an hour lost."},
                     {"standard", RecoveryTier::standard, "A day to recover, a day lost."}},
                    "The goals of recovery, which `penstock backup status` compares with what is measured.")
            .field("rto", &B::rto, "Instead of a tier: how long a recovery may take.", {.example = "2h"})
            .field("rpo", &B::rpo, "Instead of a tier: how much of the past may be lost.", {.example = "10min"})
            .at_most_one_of({"tier", "rto"})
            .at_most_one_of({"tier", "rpo"})
            .field("full", &B::full, backup_times_spec(),
                   "When `penstock serve` takes full backups; what `keep` does not keep is removed behind each.",
                   {.example = "{schedule: \"0 2 * * 0\"}"})
            .field("incremental", &B::incremental, backup_times_spec(),
                   "When it takes incremental ones; full, where there is none yet that one could be built on.",
                   {.example = "{schedule: \"0 * * * *\"}"})
            .field("drill", &B::drill, backup_drill_spec(), "What `penstock backup drill` does beside restoring.")
            .include(notifying_spec())
            .unavailable("logical", "logical backups are planned; pg_dump makes them");
    return made;
}

RecoveryGoals Backup::goals() const {
    using std::chrono::hours;
    if (!tier) return {.rto = rto, .rpo = rpo};
    switch (*tier) {
        case RecoveryTier::critical: return {.rto = hours(1), .rpo = std::chrono::minutes(5)};
        case RecoveryTier::important: return {.rto = hours(4), .rpo = hours(1)};
        case RecoveryTier::standard: return {.rto = hours(24), .rpo = hours(24)};
    }
    std::unreachable();
}

}  // namespace penstock::config
