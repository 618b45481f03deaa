#include <fmt/format.h>
#include <fmt/ranges.h>

#include "connect/postgres/capture_doctor.h"

namespace penstock::postgres {
namespace {

std::string quoted(const std::vector<TableName>& tables) {
    std::vector<std::string> names;
    for (const auto& table : tables) names.push_back(table.quoted());
    return fmt::format("{}", fmt::join(names, ", "));
}

/// A logical stream is a connection to its database: pg_hba.conf's word `replication` is for physical ones.
std::string hba_lines(const RoleNeeds& needs) {
    auto address = needs.address.empty()
                       ? std::string("<address of this machine>/32")
                       : fmt::format("{}/{}", needs.address, needs.address.find(':') == std::string::npos ? 32 : 128);
    return fmt::format(
        "-- in pg_hba.conf, before wider lines, then SELECT pg_reload_conf():\n--   hostssl {} {} {} {}\n",
        needs.database, needs.role, address, needs.certificate ? "cert clientcert=verify-full" : "scram-sha-256");
}

}  // namespace

std::string role_script(const RoleNeeds& needs) {
    auto role = quote_identifier(needs.role);
    std::string out = fmt::format("-- as a superuser, in database {}\n", needs.database);
    auto line = [&](std::string statement) { out += statement + "\n"; };
    if (needs.logical) line("ALTER SYSTEM SET wal_level = logical;  -- then restart the server");
    if (needs.create_role) {
        line(fmt::format("CREATE ROLE {} LOGIN REPLICATION;", role));
        if (!needs.certificate) line(fmt::format("-- and its password: \\password {}", needs.role));
        line(fmt::format("GRANT CONNECT ON DATABASE {} TO {};", quote_identifier(needs.database), role));
    } else if (needs.replication) {
        line(fmt::format("ALTER ROLE {0} REPLICATION;  -- Amazon RDS: GRANT rds_replication TO {0};", role));
    }
    for (const auto& schema : needs.schemas)
        line(fmt::format("GRANT USAGE ON SCHEMA {} TO {};", quote_identifier(schema), role));
    if (!needs.tables.empty()) line(fmt::format("GRANT SELECT ON {} TO {};", quoted(needs.tables), role));
    if (!needs.publish.empty())
        line(needs.create_publication
                 ? fmt::format("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true);",
                               quote_identifier(needs.publication), quoted(needs.publish))
                 : fmt::format("ALTER PUBLICATION {} ADD TABLE {};", quote_identifier(needs.publication),
                               quoted(needs.publish)));
    if (!needs.beat_table.empty())
        line(fmt::format("GRANT SELECT, INSERT, UPDATE ON {} TO {};", needs.beat_table, role));
    if (needs.mark)
        line(fmt::format("GRANT EXECUTE ON FUNCTION pg_log_standby_snapshot() TO {};  -- not needed; see most_kept:",
                         role));
    if (!needs.slot.empty())
        line(fmt::format("SELECT pg_create_logical_replication_slot({}, {}{});", quote_literal(needs.slot),
                         quote_literal(needs.plugin), needs.failover ? ", false, false, true" : ""));
    return out + hba_lines(needs);
}

}  // namespace penstock::postgres
