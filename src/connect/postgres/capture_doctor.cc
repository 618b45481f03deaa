#include "connect/postgres/capture_doctor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/humane.h"
#include "connect/postgres/capture/change_plan.h"
#include "connect/postgres/replication/slot_outlook.h"

namespace penstock::postgres {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

/// The role as the server knows it.
struct Role {
    std::string name;
    bool superuser = false;
    bool replicates = false;
    bool may_create = false;  ///< in the database
};

Finding problem(const ExaminedCapture& capture, const Error& error) {
    return {Severity::problem, "capture of " + capture.pipeline, error.message, error.hint};
}

Result<Role> read_role(Session& session, RoleNeeds& needs) {
    PN_TRY(auto rows,
           session.query("SELECT r.rolname, r.rolsuper, r.rolreplication OR EXISTS (SELECT FROM pg_catalog.pg_roles g "
                         "WHERE g.rolname = 'rds_replication' AND pg_catalog.pg_has_role(g.oid, 'MEMBER')), "
                         "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), "
                         "pg_catalog.current_setting('wal_level'), pg_catalog.current_database(), "
                         "pg_catalog.host(pg_catalog.inet_client_addr()) "
                         "FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"));
    Role role{.name = rows.text(0, 0),
              .superuser = rows.truth(0, 1),
              .replicates = rows.truth(0, 1) || rows.truth(0, 2),
              .may_create = rows.truth(0, 3)};
    needs.role = role.superuser ? "penstock" : role.name;
    needs.create_role = role.superuser;
    needs.replication = !role.replicates;
    needs.logical = rows.text(0, 4) != "logical";
    needs.database = rows.text(0, 5);
    needs.address = rows.is_null(0, 6) ? "" : rows.text(0, 6);
    return role;
}

/// `public.*` as LIKE takes it.
std::string like(std::string_view pattern) {
    std::string out;
    for (char c : pattern) {
        if (c == '%' || c == '_' || c == '\\') out += '\\';
        out += c == '*' ? '%' : c == '?' ? '_' : c;
    }
    return quote_literal(out);
}

/// A condition on pg_class c and pg_namespace n.
std::string named_by(const std::vector<config::Text>& patterns) {
    std::string out = "false";
    for (const auto& pattern : patterns)
        out +=
            pattern.value.find('.') != std::string::npos
                ? fmt::format(" OR n.nspname || '.' || c.relname LIKE {}", like(pattern.value))
                : fmt::format(" OR (c.relname LIKE {} AND pg_catalog.pg_table_is_visible(c.oid))", like(pattern.value));
    return out;
}

/// The tables as the catalog has them, which every role may read, with what this role may not; of a role that is yet to be
/// made, all. Whether it owns them.
Result<bool> read_privileges(Session& session, const ChangesOptions& changes, bool all, std::vector<TableName>& tables,
                             RoleNeeds& needs) {
    PN_TRY(auto rows,
           session.query(fmt::format(
               "SELECT n.nspname, c.relname, pg_catalog.has_schema_privilege(n.oid, 'USAGE'), "
               "pg_catalog.has_table_privilege(c.oid, 'SELECT'), pg_catalog.pg_has_role(c.relowner, 'USAGE') "
               "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
               "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> "
               "'information_schema' AND ({}) AND NOT ({}) ORDER BY 1, 2",
               named_by(changes.tables), named_by(changes.exclude))));
    bool owns = true;
    for (int row = 0; row < rows.count(); ++row) {
        TableName name{rows.text(row, 0), rows.text(row, 1)};
        tables.push_back(name);
        bool known = std::ranges::find(needs.schemas, name.schema) != needs.schemas.end();
        if ((all || !rows.truth(row, 2)) && !known) needs.schemas.push_back(name.schema);
        if (all || !rows.truth(row, 3)) needs.tables.push_back(name);
        owns = owns && rows.truth(row, 4);
    }
    return owns;
}

Status read_publication(Session& session, const ChangesOptions& changes, const std::vector<TableName>& tables,
                        RoleNeeds& needs) {
    if (changes.publication.value.empty()) return {};  // a plugin that needs none
    needs.publication = changes.publication.value;
    PN_TRY(auto found, find_publication(session, needs.publication));
    needs.create_publication = !found;
    for (const auto& name : tables) {
        bool published = found && std::ranges::find(found->tables, name, &PublishedTable::table) != found->tables.end();
        if (!published) needs.publish.push_back(name);
    }
    return {};
}

std::string lacking(const RoleNeeds& needs, const Role& role, bool superuser) {
    std::vector<std::string> lacks;
    if (needs.logical) lacks.push_back("the server's wal_level is not logical");
    if (needs.replication) lacks.push_back(fmt::format("user {} may not replicate", role.name));
    if (!superuser && !needs.tables.empty())
        lacks.push_back(fmt::format("user {} may not read {} of the tables", role.name, needs.tables.size()));
    else if (!superuser && !needs.schemas.empty())
        lacks.push_back(fmt::format("user {} may not use schema {}", role.name, fmt::join(needs.schemas, ", ")));
    if (!needs.publish.empty())
        lacks.push_back(needs.create_publication ? fmt::format("there is no publication {}", needs.publication)
                                                 : fmt::format("publication {} lacks {} of the tables",
                                                               needs.publication, needs.publish.size()));
    if (!needs.slot.empty()) lacks.push_back(fmt::format("there is no slot {}", needs.slot));
    return fmt::format("{}", fmt::join(lacks, "; "));
}

Finding judge_role(const ExaminedCapture& capture, RoleNeeds needs, const Role& role) {
    std::string what = "capture of " + capture.pipeline;
    // What the role of today can make by itself is none of its lacks, but of the role's that should be in its place.
    RoleNeeds lacks = needs;
    if (role.superuser && capture.source.changes->create) lacks.publish.clear();
    auto missing = lacking(lacks, role, role.superuser);
    if (!missing.empty()) return {Severity::problem, what, missing, role_script(needs)};
    if (role.superuser)
        return {Severity::warning, what,
                fmt::format("user {} is a superuser: the capture needs no more than this", role.name),
                role_script(needs)};
    return {.what = what,
            .detail = fmt::format("user {} may replicate and read {} tables", role.name,
                                  needs.publication.empty() ? "its" : "the published"),
            .fix = {}};
}

Finding slot_finding(const SlotState& slot, const std::string& pipeline) {
    auto bytes = [](int64_t count) { return humane_bytes(static_cast<uint64_t>(std::max<int64_t>(count, 0))); };
    Finding finding{
        .what = fmt::format("slot of {}", pipeline),
        .detail = fmt::format("{}: {}", slot.name, slot.active ? "read by " + slot.holder : "nobody reads it now"),
        .fix = {}};
    if (slot.retained_bytes)
        finding.detail += fmt::format(", keeps {} of the server's log", bytes(*slot.retained_bytes));
    if (slot.safe_wal_size && !slot.lost())
        finding.detail += fmt::format(", {} more may be written before it is lost", bytes(*slot.safe_wal_size));
    if (auto concern = slot_concern(slot, pipeline)) {
        finding.severity = concern->grave ? Severity::problem : Severity::warning;
        finding.detail += "; " + concern->what;
        finding.fix = concern->fix;
    } else if (!slot.safe_wal_size && !slot.lost()) {
        finding.detail += "; no limit to it is set";
        finding.fix = "max_slot_wal_keep_size keeps a forgotten slot from filling the server's disk";
    }
    return finding;
}

}  // namespace

Result<std::vector<Finding>> examine_capture(const ExaminedCapture& capture, std::stop_token stop) {
    const auto& changes = *capture.source.changes;
    PN_TRY(auto session, Session::connect(capture.connection, "penstock/doctor", std::move(stop)));
    RoleNeeds needs;
    PN_TRY(auto role, read_role(*session, needs));
    needs.certificate = capture.connection.tls && !capture.connection.tls->cert.empty();
    std::vector<TableName> tables;
    PN_TRY(bool owns, read_privileges(*session, changes, role.superuser, tables, needs));
    PN_CHECK(read_publication(*session, changes, tables, needs));
    // With `create:` a role that owns the tables publishes them itself.
    if (changes.create && !role.superuser && owns && (role.may_create || !needs.create_publication))
        needs.publish.clear();
    PN_TRY(auto slot, find_slot(*session, changes.slot.value));
    if (!slot && !changes.create) {
        needs.slot = changes.slot.value;
        needs.plugin = changes.plugin == ChangePlugin::pgoutput ? "pgoutput" : "wal2json";
        needs.failover = changes.failover && session->server_version() >= 170000;
    }
    if (role.superuser) {
        needs.beat_table = changes.heartbeat_table.value;
        needs.mark = session->server_version() >= 160000;
    }
    std::vector<Finding> findings = {judge_role(capture, needs, role)};
    // A role that may not look into a schema cannot plan its tables.
    if (role.superuser || needs.schemas.empty())
        if (auto plan = plan_changes(*session, capture.source, capture.policies, capture.holds); !plan)
            findings.push_back(problem(capture, plan.error()));
    if (slot) findings.push_back(slot_finding(*slot, capture.pipeline));
    return findings;
}

}  // namespace penstock::postgres
