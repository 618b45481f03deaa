#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "connect/postgres/options.h"
#include "connect/postgres/replication/publication.h"
#include "data/holds.h"
#include "flow/component.h"

namespace penstock::postgres {

/// A pipeline that captures changes, copied out of the configuration.
struct ExaminedCapture {
    ConnectionOptions connection;
    SourceOptions source;
    config::TypePolicies policies;
    data::Holds holds;
    std::string pipeline;
};

/// Whether the connection's role may do what the capture does, and how its slot stands. What is missing comes with a script
/// for an administrator that gives exactly that.
Result<std::vector<flow::Finding>> examine_capture(const ExaminedCapture& capture, std::stop_token stop);

/// What a role needs to capture changes and lacks; what is empty or false it has.
struct RoleNeeds {
    std::string role;
    bool create_role = false;  ///< of its own, in place of the superuser that connects now
    bool replication = false;
    bool logical = false;  ///< wal_level
    std::string database;
    std::vector<std::string> schemas;  ///< to use
    std::vector<TableName> tables;     ///< to read
    std::string publication;
    std::vector<TableName> publish;  ///< that the publication does not have
    bool create_publication = false;
    std::string slot;  ///< to create
    std::string plugin;
    bool failover = false;
    std::string beat_table;
    bool mark = false;         ///< pg_log_standby_snapshot()
    std::string address;       ///< of this machine as the server sees it; "" over a local socket
    bool certificate = false;  ///< the role proves itself by a client certificate, else by a password
};

/// SQL that psql runs as it is, as a superuser or the tables' owner, in the captured database; pg_hba.conf's line is a comment.
std::string role_script(const RoleNeeds& needs);

}  // namespace penstock::postgres
