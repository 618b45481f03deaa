#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

struct TableName {
    std::string schema;
    std::string name;
    std::string quoted() const { return quote_identifier(schema) + "." + quote_identifier(name); }
    bool operator==(const TableName&) const = default;
    auto operator<=>(const TableName&) const = default;
};

struct PublishedTable {
    TableName table;
    std::vector<std::string> columns =
        {};                       ///< asked for: empty means all. Inspected: those that are published, in order
    std::string row_filter = {};  ///< a condition in SQL; "" none
};

struct PublicationRequest {
    std::string name;
    std::vector<PublishedTable> tables;  ///< none: every table, which takes a superuser
    bool via_partition_root = true;  ///< changes of partitions come as changes of the partitioned table; 13 and later
};

/// Column lists and row filters need PostgreSQL 15: asked of an older server they are an error, not left out.
Result<std::string> create_publication_command(const PublicationRequest& request, int server_version);

/// Over an ordinary session, outside of any transaction. Needs CREATE on the database and ownership of the tables.
Status create_publication(Session& session, const PublicationRequest& request);
Status add_to_publication(Session& session, const std::string& name, const std::vector<PublishedTable>& tables);
Status drop_publication(Session& session, const std::string& name);

struct Publication {
    std::string name;
    bool all_tables = false;
    bool inserts = true, updates = true, deletes = true, truncates = true;  ///< what it publishes
    bool via_partition_root = false;
    std::vector<PublishedTable> tables;  ///< by schema and name; with via_partition_root the partitioned ones
};

/// What a publication says today. Absent where there is none: from version 18 on a stream that names it only warns of it in
/// the server's log, so this must be asked first. Sessions of either channel.
Result<std::optional<Publication>> find_publication(Session& session, const std::string& name);

/// How the server tells a row of a table in updates and deletes.
struct ReplicaIdentity {
    TableName table;
    Oid oid = 0;
    char kind = 'd';               ///< pg_class.relreplident: d primary key, i an index, f the whole row, n nothing
    std::vector<std::string> key;  ///< columns of that key; empty for f and n, and for d without a primary key

    /// Updates and deletes of a published table fail in the source where this is false.
    bool identifies() const { return kind == 'f' || !key.empty(); }
};

/// In the order of `tables`; one that does not exist is an error. Sessions of either channel.
Result<std::vector<ReplicaIdentity>> replica_identities(Session& session, const std::vector<TableName>& tables);

}  // namespace penstock::postgres
