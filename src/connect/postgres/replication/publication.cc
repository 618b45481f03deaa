#include "connect/postgres/replication/publication.h"

#include <fmt/format.h>

#include <algorithm>

#include "connect/postgres/replication/replication_error.h"

namespace penstock::postgres {
namespace {

/// "s"."t" ("a", "b") WHERE (…), …
Result<std::string> table_list(const std::vector<PublishedTable>& tables, int server_version) {
    std::string out;
    for (const auto& published : tables) {
        bool whole = published.columns.empty() && published.row_filter.empty();
        if (!whole && server_version < 150000)
            return fail(
                {.kind = ErrorKind::configuration,
                 .code = "publication_unsupported",
                 .message = fmt::format("table {}.{} is to be published in part, which takes PostgreSQL 15 or later",
                                        published.table.schema, published.table.name),
                 .hint = "publish the whole table, and choose columns and rows by steps:"});
        out += (out.empty() ? "" : ", ") + published.table.quoted();
        for (size_t i = 0; i < published.columns.size(); ++i)
            out += (i == 0 ? " (" : ", ") + quote_identifier(published.columns[i]);
        if (!published.columns.empty()) out += ')';
        if (!published.row_filter.empty()) out += fmt::format(" WHERE ({})", published.row_filter);
    }
    return out;
}

/// Our sessions read only, unless told.
Status write(Session& session, const std::string& sql) {
    PN_CHECK(session.execute("BEGIN READ WRITE"));
    auto done = session.execute(sql);
    if (done) done = session.execute("COMMIT");
    if (done) return {};
    auto undone = session.execute("ROLLBACK");  // fails only where the connection is lost, which `done` says already
    return explained(std::move(done));
}

Result<std::vector<PublishedTable>> published_tables(Session& session, const std::string& name) {
    // The views of 15 and later know columns and filters; before, everything but generated columns is published.
    bool partial = session.server_version() >= 150000;
    std::string columns =
        partial
            ? "pg_catalog.unnest(p.attnames) WITH ORDINALITY AS c (name, at)"
            : "(SELECT a.attname, a.attnum FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped "
              "AND a.attgenerated = '' AND a.attrelid = pg_catalog.format('%I.%I', p.schemaname, p.tablename)"
              "::pg_catalog.regclass) AS c (name, at)";
    PN_TRY(auto rows,
           explained(session.query(fmt::format("SELECT p.schemaname, p.tablename, c.name, {} "
                                               "FROM pg_catalog.pg_publication_tables p LEFT JOIN LATERAL {} ON true "
                                               "WHERE p.pubname = {} ORDER BY 1, 2, c.at",
                                               partial ? "p.rowfilter" : "NULL", columns, quote_literal(name)))));
    std::vector<PublishedTable> tables;
    for (int row = 0; row < rows.count(); ++row) {
        TableName table{rows.text(row, 0), rows.text(row, 1)};
        if (tables.empty() || tables.back().table != table)
            tables.push_back({.table = table, .row_filter = rows.is_null(row, 3) ? "" : rows.text(row, 3)});
        if (!rows.is_null(row, 2)) tables.back().columns.push_back(rows.text(row, 2));
    }
    return tables;
}

std::string names_as_values(const std::vector<TableName>& tables) {
    std::string out;
    for (size_t i = 0; i < tables.size(); ++i)
        out += fmt::format("{}({}, {}, {})", i == 0 ? "" : ", ", i, quote_literal(tables[i].schema),
                           quote_literal(tables[i].name));
    return out;
}

Error no_such_table(const Session& session, const TableName& table) {
    return {.kind = ErrorKind::refused,
            .code = "no_such_table",
            .message = fmt::format("{} has no table {}.{}", session.place().text(), table.schema, table.name),
            .where = "connections." + session.place().connection,
            .hint = "check the table's name and schema; `penstock init --from` lists what is there"};
}

}  // namespace

Result<std::string> create_publication_command(const PublicationRequest& request, int server_version) {
    PN_TRY(auto tables, table_list(request.tables, server_version));
    bool root = request.via_partition_root && server_version >= 130000;
    return fmt::format("CREATE PUBLICATION {} FOR {}{}", quote_identifier(request.name),
                       tables.empty() ? "ALL TABLES" : "TABLE " + tables,
                       root ? " WITH (publish_via_partition_root = true)" : "");
}

Status create_publication(Session& session, const PublicationRequest& request) {
    PN_TRY(auto command, create_publication_command(request, session.server_version()));
    return write(session, command);
}

Status add_to_publication(Session& session, const std::string& name, const std::vector<PublishedTable>& tables) {
    PN_TRY(auto list, table_list(tables, session.server_version()));
    return write(session, fmt::format("ALTER PUBLICATION {} ADD TABLE {}", quote_identifier(name), list));
}

Status drop_publication(Session& session, const std::string& name) {
    return write(session, "DROP PUBLICATION " + quote_identifier(name));
}

Result<std::optional<Publication>> find_publication(Session& session, const std::string& name) {
    PN_TRY(auto rows, explained(session.query(fmt::format(
                          "SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, {} "
                          "FROM pg_catalog.pg_publication WHERE pubname = {}",
                          session.server_version() >= 130000 ? "pubviaroot" : "false", quote_literal(name)))));
    if (rows.count() == 0) return std::optional<Publication>();
    Publication found{.name = name,
                      .all_tables = rows.truth(0, 0),
                      .inserts = rows.truth(0, 1),
                      .updates = rows.truth(0, 2),
                      .deletes = rows.truth(0, 3),
                      .truncates = rows.truth(0, 4),
                      .via_partition_root = rows.truth(0, 5)};
    PN_TRY(found.tables, published_tables(session, name));
    return std::optional(std::move(found));
}

Result<std::vector<ReplicaIdentity>> replica_identities(Session& session, const std::vector<TableName>& tables) {
    if (tables.empty()) return std::vector<ReplicaIdentity>();
    // A deferrable primary key does not identify (relcache.c, RelationGetIndexList).
    PN_TRY(
        auto rows,
        explained(session.query(fmt::format(
            "SELECT v.at, c.oid, c.relreplident, a.attname FROM (VALUES {}) AS v (at, schema, name) "
            "JOIN pg_catalog.pg_namespace n ON n.nspname = v.schema "
            "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.name AND c.relkind IN ('r', 'p') "
            "LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND CASE "
            "c.relreplident "
            "WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END "
            "LEFT JOIN LATERAL pg_catalog.unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (number, at) ON "
            "true "
            "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY v.at, k.at",
            names_as_values(tables)))));
    std::vector<ReplicaIdentity> found;
    for (int row = 0; row < rows.count(); ++row) {
        auto at = static_cast<size_t>(rows.integer(row, 0));
        if (found.size() < at) break;  // the one between is missing
        if (found.size() == at)
            found.push_back(
                {.table = tables[at], .oid = static_cast<Oid>(rows.integer(row, 1)), .kind = rows.text(row, 2)[0]});
        if (!rows.is_null(row, 3)) found.back().key.push_back(rows.text(row, 3));
    }
    if (found.size() < tables.size()) return fail(no_such_table(session, tables[found.size()]));
    return found;
}

}  // namespace penstock::postgres
