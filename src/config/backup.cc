#include "config/backup.h"

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
            .unavailable("tier", "goals of recovery are planned")
            .unavailable("rto", "goals of recovery are planned")
            .unavailable("rpo", "goals of recovery are planned")
            .unavailable("full",
                         "schedules of backups are planned; cron or a systemd timer can run `penstock backup run`")
            .unavailable(
                "incremental",
                "schedules of backups are planned; cron or a systemd timer can run `penstock backup run --incremental`")
            .unavailable("logical", "logical backups are planned; pg_dump makes them")
            .unavailable("drill", "drills are planned; `penstock backup restore` and a start by hand is one");
    return made;
}

}  // namespace penstock::config
