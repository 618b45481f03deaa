#include "connect/postgres/options.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <memory>

#include "config/query_file.h"
#include "config/spec.h"

namespace penstock::postgres {

std::string_view to_string(TlsMode mode) {
    switch (mode) {
        case TlsMode::disable: return "disable";
        case TlsMode::allow: return "allow";
        case TlsMode::prefer: return "prefer";
        case TlsMode::require: return "require";
        case TlsMode::verify_ca: return "verify-ca";
        case TlsMode::verify_full: return "verify-full";
    }
    std::unreachable();
}

std::string_view to_string(ChangePlugin plugin) {
    switch (plugin) {
        case ChangePlugin::pgoutput: return "pgoutput";
        case ChangePlugin::wal2json: return "wal2json";
    }
    std::unreachable();
}

namespace {

const config::Spec<TlsOptions>& tls_spec() {
    using T = TlsOptions;
    static const auto made =
        config::Spec<T>("tls",
                        "How the connection is encrypted and both ends prove who they are; libpq's sslmode family.")
            .choice("mode", &T::mode,
                    {{"disable", TlsMode::disable, "No encryption."},
                     {"allow", TlsMode::allow, "Encrypted only where the server insists."},
                     {"prefer", TlsMode::prefer, "Encrypted where the server can."},
                     {"require", TlsMode::require, "Encrypted, the server's certificate unchecked."},
                     {"verify-ca", TlsMode::verify_ca, "The certificate must be signed by `ca`."},
                     {"verify-full", TlsMode::verify_full, "Signed by `ca`, and issued for the host's name."}},
                    "How much is asked of the server.")
            .field("ca", &T::ca, "Certificates of the authorities that are trusted (PEM).",
                   {.example = "server-ca.pem"})
            .field("cert", &T::cert, "The client's own certificate (PEM).", {.example = "client-cert.pem"})
            .field("key", &T::key, "The private key of `cert` (PEM), readable by its owner only.",
                   {.example = "client-key.pem"})
            .field("key_password", &T::key_password, "What `key` is encrypted with.")
            .requires_other("cert", "key")
            .requires_other("key", "cert");
    return made;
}

}  // namespace

namespace {

/// What libpq itself takes for a connection's address; its words are not shown, for they may quote the password.
Status check_url(const ConnectionOptions& options, const config::Node& node) {
    char* words = nullptr;
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
        PQconninfoParse(options.url.reveal().c_str(), &words), PQconninfoFree);
    PQfreemem(words);
    if (parsed) return {};
    return fail(config::problem(
        *node.find("url"), "bad_url", "this is neither a PostgreSQL URL nor libpq's key=value pairs",
        "write postgresql://user@host:5432/database; special characters of the password are encoded, %40 for @"));
}

}  // namespace

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("postgres connection",
                        "A PostgreSQL server of version 12 or later, or one that speaks like it.")
            .include(config::connection_spec())
            .required("url", &C::url,
                      "Where the database is: an URL or a libpq key=value string. `service=`, `passfile=`, the PG… "
                      "variables and "
                      "several hosts work as in psql.",
                      {.example = "${SHOP_URL}"})
            .field("tls", &C::tls, tls_spec(), "Encryption and certificates; what is said here wins over the URL.")
            .field("statement_timeout", &C::statement_timeout, "Ends any statement that takes longer; none by default.",
                   {.example = "30min"})
            .field("lock_timeout", &C::lock_timeout, "Ends the wait for a table somebody has locked.",
                   {.default_note = "30s"})
            .field("connect_timeout", &C::connect_timeout, "Ends an attempt to connect.")
            .check(check_url);
    return made;
}

namespace {

/// Which options go with which plugin.
Status check_plugin(const ChangesOptions& options, const config::Node& node) {
    if (options.plugin == ChangePlugin::pgoutput) {
        for (const char* name : {"format_version", "finite_numbers"})
            if (const auto* found = node.find(name))
                return fail(config::problem(*found, "option_without_effect",
                                            fmt::format("`{}` is about wal2json, and the plugin is pgoutput", name),
                                            "leave it out, or set plugin: wal2json"));
        if (options.publication.empty())
            return fail(config::problem(node, "missing_key",
                                        "the key 'publication' is missing: pgoutput streams its tables",
                                        "add it, as publication: penstock"));
        return {};
    }
    if (const auto* found = node.find("publication"))
        return fail(config::problem(*found, "option_without_effect", "wal2json knows nothing of publications",
                                    "leave it out: the tables are those of `tables`"));
    if (const auto* found = node.find("origin"); found != nullptr && options.origin == OriginChoice::none)
        return fail(config::problem(*found, "option_not_available", "wal2json does not tell changes by their origin",
                                    "leave it out, or use plugin: pgoutput"));
    return {};
}

const config::Spec<ChangesOptions>& changes_spec() {
    using C = ChangesOptions;
    static const auto made =
        config::Spec<C>("changes",
                        "Change data capture: tables as they are now, then every change of them, in the order of "
                        "commits, from a logical "
                        "replication slot. The server needs wal_level = logical and a role with REPLICATION.")
            .required("tables", &C::tables,
                      "Tables by name or pattern (`*` and `?`); partitioned ones by their parent.",
                      {.example = "[public.orders]"})
            .field("exclude", &C::exclude, "Patterns taken out of `tables`.", {.example = "[public.audit_*]"})
            .field("publication", &C::publication,
                   "The publication that names the tables to the server; wal2json needs none.", {.example = "penstock"})
            .required("slot", &C::slot,
                      "The replication slot: the server's memory of how far this pipeline is. One pipeline a slot.",
                      {.example = "penstock_shop"})
            .choice("plugin", &C::plugin,
                    {{"pgoutput", ChangePlugin::pgoutput, "PostgreSQL's own."},
                     {"wal2json", ChangePlugin::wal2json,
                      "For servers where it is what there is: slower, without partitioned tables."}},
                    "What decodes the server's log.")
            .choice("format_version", &C::format_version,
                    {{"1", FormatVersion::one, "For a wal2json older than 2.0. It leaves TRUNCATE out."},
                     {"2", FormatVersion::two, "All changes."}},
                    "What wal2json writes.", {.default_note = "2"})
            .field("finite_numbers", &C::finite_numbers,
                   "Says that no float or numeric column of the tables that may be NULL ever holds NaN or an infinity: "
                   "wal2json 2.5 and older write these as null.")
            .choice(
                "snapshot", &C::snapshot,
                {{"initial", SnapshotChoice::initial, "A table that the target does not have yet is read whole first."},
                 {"never", SnapshotChoice::never, "Only changes from now on."}},
                "Where a table begins.")
            .field("create", &C::create,
                   "Makes the slot and the publication where they are missing; otherwise that is an error.")
            .choice(
                "on_rewrite", &C::on_rewrite,
                {{"resnapshot", OnRewrite::resnapshot,
                  "It is read anew and swapped in as a whole, while the other tables keep their state."},
                 {"stop", OnRewrite::stop, "The run ends; `--resnapshot TABLE` is the way on."}},
                "What becomes of a table whose changes alone no longer tell its rows: a type was changed, a column "
                "added whose values in older rows were not streamed, its replica identity or names changed while "
                "changes waited, it was made anew, or left out for a while. What `schema_change` forbids still ends "
                "the run.")
            .choice("on_table_error", &C::on_table_error,
                    {{"stop", OnTableError::stop, "The run ends."},
                     {"set_aside", OnTableError::set_aside,
                      "The others go on. Its changes are not kept: `--resnapshot TABLE` reads it anew and takes it "
                      "back."}},
                    "What becomes of a table whose changes cannot be decoded or written as the configuration says: "
                    "rejected rows under `on_reject: stop`, a change of its shape that `schema_change` forbids.")
            .field("look_every", &C::look_every,
                   "How often a run that follows looks for tables that have come or gone. New ones that `tables` means "
                   "are read and join; with a publication FOR ALL TABLES their first change is noticed at once.")
            .field("spill_directory", &C::spill_directory,
                   "Where changes of transactions wait that do not fit into `memory`.",
                   {.default_note = "the system's folder for temporary files"})
            .field("spill_limit", &C::spill_limit,
                   "What they may take of the disk; beyond it the run ends, and nothing is lost.")
            .choice("origin", &C::origin,
                    {{"any", OriginChoice::any, "All of them."},
                     {"none", OriginChoice::none,
                      "Those made in this database itself, not those that reached it by replication; PostgreSQL 16."}},
                    "Which changes are captured.")
            .field("failover", &C::failover,
                   "A slot that is made here is kept on standbys that synchronise slots, so that after a failover the "
                   "capture goes on from the promoted one; PostgreSQL 17.")
            .field(
                "low_room", &C::low_room,
                "When the server's max_slot_wal_keep_size leaves less than this before the slot is lost, changes are "
                "committed in small segments, at once, and a warning is logged.")
            .field(
                "most_kept", &C::most_kept,
                "When the server keeps more of its log than this although it is confirmed, it is asked for another "
                "place to let go up to, which it makes by itself every 15 s only: by pg_log_standby_snapshot() where "
                "the role may call it (PostgreSQL 16), else by a temporary slot. 0 never asks.")
            .field(
                "heartbeat", &C::heartbeat,
                "Writes a message into the server's log this often while the stream is read. Not needed to let go of "
                "the log of idle tables, which the server's own keepalives do; for servers that send none, or to see "
                "that a quiet source is alive.",
                {.example = "1min"})
            .field("heartbeat_table", &C::heartbeat_table,
                   "Beats by a row of this table (`slot text PRIMARY KEY, beat_at timestamptz`) where messages are not "
                   "allowed.",
                   {.example = "public.penstock_heartbeat"})
            .check(check_plugin)
            .requires_other("heartbeat_table", "heartbeat");
    return made;
}

/// Options that choose rows have no meaning for a stream of all of them.
Status check_changes(const SourceOptions& options, const config::Node& node) {
    if (!options.changes) return {};
    for (const char* name : {"where", "cursor", "cursor_lag"})
        if (const auto* found = node.find(name))
            return fail(config::problem(
                *found, "option_without_effect",
                fmt::format("`{}` chooses rows of a read; with `changes` every row and change is taken", name),
                "leave it out, or give the publication a row filter"));
    return {};
}

}  // namespace

const config::Spec<SourceOptions>& source_spec() {
    using S = SourceOptions;
    static const auto made =
        config::Spec<S>(
            "postgres source",
            "Reads tables, views, materialized views, partitioned and foreign tables, or a query, by binary COPY "
            "inside one "
            "snapshot that all readers share. With `cursor`, only what is new or changed since the last run.")
            .include(config::source_spec())
            .field("table", &S::table, "One table or view, schema-qualified.", {.example = "public.events"})
            .field("tables", &S::tables,
                   "Several, by name or pattern (`*` and `?`), each loaded and committed on its own from one common "
                   "snapshot.",
                   {.example = "[public.*]"})
            .field("exclude", &S::exclude, "Patterns taken out of `tables`.", {.example = "[public.audit_*]"})
            .field("query", &S::query,
                   "A SELECT whose result is read as if it were a table, or the path of a file (*.sql) that holds it.",
                   {.example = "SELECT id, total FROM orders"})
            .field("where", &S::where, "A condition in the source's SQL; rows that fail it are not read.",
                   {.example = "NOT is_test"})
            .field("cursor", &S::cursor,
                   "The column that grows with each insert and update: a timestamp, date, integer or numeric. Rows "
                   "that were committed late, "
                   "below a value already seen, are still found.",
                   {.example = "updated_at"})
            .field("cursor_lag", &S::cursor_lag,
                   "Reads this much below the last value again: a duration for times, a number for numbers. Needed for "
                   "views and queries, whose "
                   "late commits cannot be recognised; on tables it lets an index serve cursors that are numbers, "
                   "which otherwise "
                   "look through the whole table for rows that are new.",
                   {.example = "5m"})
            .field("array_dimensions", &S::array_dimensions,
                   "Dimensions of array columns where the declaration does not say (`int[]` holding matrices).",
                   {.example = "{grid: 2}"})
            .field("changes", &S::changes, changes_spec(),
                   "The tables and every later change of them, instead of reads.")
            .check(check_changes)
            .one_of({"table", "tables", "query", "changes"})
            .requires_other("exclude", "tables")
            .requires_other("cursor_lag", "cursor");
    return made;
}

Result<SourceOptions> parse_source(const config::Node& node) {
    PN_TRY(auto options, source_spec().parse(node));
    PN_CHECK(config::read_query_file(options.query));
    return options;
}

Result<ConnectionOptions> parse_connection(const config::Node& node, const std::string& name) {
    PN_TRY(auto options, connection_spec().parse(node));
    options.name = name;
    remember_secret(options.url.reveal());
    return options;
}

}  // namespace penstock::postgres
