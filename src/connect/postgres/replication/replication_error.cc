#include "connect/postgres/replication/replication_error.h"

#include <string>
#include <string_view>

namespace penstock::postgres {
namespace {

struct Remedy {
    std::string_view sqlstate;
    std::string_view phrase;  ///< of the server's sentence or its detail; empty where the SQLSTATE says enough
    ErrorKind kind;
    std::string_view code;
    std::string_view hint;
};

constexpr std::string_view anew =
    "what it had not sent yet is gone: drop it (`penstock slots drop … --confirm`), then `penstock run --full-refresh` "
    "copies the tables again through a new one";
constexpr std::string_view no_replication =
    "as a superuser: ALTER ROLE … REPLICATION; managed servers have a role for it, as rds_replication";

constexpr std::string_view publishing =
    "publishing takes CREATE on the database and ownership of the tables: let their owner create the publication, and "
    "set create: false";
constexpr std::string_view allowing =
    "as a superuser: add the plugin to output_plugin_libraries in the server's configuration; pgoutput is always there";
constexpr std::string_view elsewhere = "capture from the primary, or from a standby of version 16 or later";

/// Sentences of PostgreSQL 12 to 18: slot.c, logical.c, logicalfuncs.c, walsender.c, pgoutput.c, publicationcmds.c. A server
/// that speaks another language gets the last line of its SQLSTATE.
constexpr Remedy remedies[] = {
    {"55006", "", ErrorKind::conflict, "slot_active",
     "one slot serves one reader: stop the other, or give this pipeline a slot of its own. A reader that was cut off "
     "is let go after the server's wal_sender_timeout"},
    {"55000", "wal_level", ErrorKind::refused, "wal_level",
     "as a superuser: ALTER SYSTEM SET wal_level = logical, then restart the server; a standby's primary needs it as "
     "well"},
    {"55000", "wal_status", ErrorKind::refused, "slot_lost", anew},
    {"55000", "invalidated", ErrorKind::refused, "slot_lost", anew},
    {"55000", "no longer", ErrorKind::refused, "slot_lost", anew},
    {"55000", "not created in this database", ErrorKind::configuration, "slot_database",
     "a slot belongs to one database: name another slot:, or the slot's own database in the connection's url"},
    {"55000", "physical", ErrorKind::configuration, "slot_physical",
     "it belongs to a standby or a backup: name another slot:"},
    {"55000", "max_replication_slots", ErrorKind::refused, "no_slots",
     "set max_replication_slots above 0 in the server, and restart it"},
    {"55000", "recovery", ErrorKind::refused, "standby", elsewhere},
    {"0A000", "recovery", ErrorKind::refused, "standby", elsewhere},
    {"55000", "", ErrorKind::refused, "slot_unusable", "`penstock slots list` shows its state"},
    {"53400", "", ErrorKind::refused, "no_slots",
     "drop a slot that nobody reads (`penstock slots list`, `penstock slots drop`), or raise max_replication_slots in "
     "the server (a restart)"},
    {"53300", "wal_senders", ErrorKind::unavailable, "too_many_walsenders",
     "raise max_wal_senders in the server (a restart), or end a replication that is not needed: see "
     "pg_stat_replication"},
    {"42710", "slot", ErrorKind::refused, "slot_exists",
     "drop it (`penstock slots drop … --confirm`) when nobody needs it, or name another slot:"},
    {"42710", "publication", ErrorKind::refused, "publication_exists",
     "use it as it is with create: false, or name another publication:"},
    {"42710", "", ErrorKind::refused, "already_exists", "name another"},
    {"42704", "slot", ErrorKind::refused, "slot_missing",
     "it was dropped, or the server failed over without it: `penstock run --full-refresh` copies the tables again "
     "through a new one"},
    {"42704", "publication", ErrorKind::refused, "publication_missing",
     "create it: CREATE PUBLICATION … FOR TABLE …. For changes made before it existed the slot cannot use it: then "
     "drop the slot as well and start over with `penstock run --full-refresh`"},
    {"42704", "", ErrorKind::refused, "no_such_object", "create it, or check its name"},
    {"42602", "", ErrorKind::configuration, "slot_name",
     "a slot's name holds lower case letters, digits and underscores, 63 at most"},
    {"42501", "ublication", ErrorKind::refused, "no_publication_privilege", publishing},
    {"42501", "must be owner", ErrorKind::refused, "no_publication_privilege", publishing},
    {"42501", "for database", ErrorKind::refused, "no_publication_privilege", publishing},
    {"42501", "output_plugin_libraries", ErrorKind::refused, "plugin_not_allowed", allowing},
    {"42501", "output plugin", ErrorKind::refused, "plugin_not_allowed", allowing},
    {"42501", "", ErrorKind::refused, "no_replication_privilege", no_replication},
    {"28000", "", ErrorKind::refused, "no_replication_privilege", no_replication},
    {"58P01", "WAL segment", ErrorKind::refused, "slot_lost", anew},
    {"XX000", "has already been removed", ErrorKind::refused, "slot_lost", anew},  // xlog.c, CheckXLogRemoved
    {"58P01", "", ErrorKind::refused, "plugin_missing",
     "install the plugin in the server (Debian: postgresql-15-wal2json), or use plugin: pgoutput"},
    {"0A000", "proto_version", ErrorKind::refused, "protocol_version",
     "the server is older than it said; connect to it without a pooler in between"},
    {"57P01", "", ErrorKind::unavailable, "server_gone", "the server is stopping, restarting, or ended the connection"},
};

bool about(const Error& error, std::string_view sqlstate) {
    return error.cause && std::string_view(error.cause->code).ends_with(sqlstate) &&
           error.cause->code.starts_with("sqlstate_");
}

}  // namespace

Error replication_error(Error error) {
    for (const auto& remedy : remedies) {
        if (!about(error, remedy.sqlstate) || error.message.find(remedy.phrase) == std::string::npos) continue;
        error.kind = remedy.kind;
        error.code = remedy.code;
        error.hint = remedy.hint;
        break;
    }
    return error;
}

Error unexpected(const char* what) {
    return {.kind = ErrorKind::data,
            .code = "replication_protocol",
            .message = std::string("the replication stream cannot be understood: ") + what};
}

}  // namespace penstock::postgres
