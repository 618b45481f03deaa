#include "connect/postgres/doctor.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/humane.h"
#include "connect/postgres/catalog.h"
#include "connect/postgres/increment.h"
#include "connect/postgres/read_plan.h"
#include "connect/postgres/replication/slot_outlook.h"

namespace penstock::postgres {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

/// Column names that say "set at each change", the likeliest first.
constexpr std::array cursor_names = {"updated_at",  "modified_at", "last_updated",    "last_modified",
                                     "update_time", "last_update", "mtime",           "changed_at",
                                     "created_at",  "inserted_at", "event_timestamp", "ts"};

Finding version(Session& session) {
    int number = session.server_version();
    Finding finding{.what = "version", .detail = "PostgreSQL " + session.parameter("server_version"), .fix = {}};
    if (number < 120000)
        finding.severity = Severity::problem,
        finding.fix = "Penstock reads PostgreSQL 12 and later; upgrade the server";
    else if (number < 140000)
        finding.severity = Severity::warning,
        finding.fix = "large tables are read by one connection each: ranges of pages need PostgreSQL 14";
    return finding;
}

Finding encryption(Session& session) {
    auto ssl = static_cast<SSL*>(PQgetssl(session.raw()));
    if (ssl != nullptr) {
        bool verified = SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && SSL_get_verify_result(ssl) == X509_V_OK;
        Finding finding{.what = "encryption",
                        .detail = fmt::format("{}, {}", SSL_get_version(ssl),
                                              verified ? "certificate verified" : "certificate not verified"),
                        .fix = {}};
        if (!verified)
            finding.severity = Severity::warning,
            finding.fix = "set tls: {mode: verify-full, ca: …} so that nobody can pose as the server";
        return finding;
    }
    const char* host = PQhost(session.raw());
    bool local = host == nullptr || host[0] == '/' || std::string_view(host) == "localhost" ||
                 std::string_view(host) == "127.0.0.1" || std::string_view(host) == "::1";
    if (local) return {.what = "encryption", .detail = "none; the server is on this machine", .fix = {}};
    return {Severity::warning, "encryption", "none: data and password cross the network readable",
            "set tls: {mode: verify-full, ca: …}"};
}

Result<Finding> clock_skew(Session& session) {
    auto before = std::chrono::system_clock::now();
    PN_TRY(auto rows, session.query("SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"));
    auto after = std::chrono::system_clock::now();
    auto here =
        std::chrono::duration_cast<std::chrono::microseconds>((before + (after - before) / 2).time_since_epoch())
            .count();
    double seconds = static_cast<double>(rows.integer(0, 0) - here) / 1e6;
    Finding finding{.what = "clock", .detail = fmt::format("the server is {:+.3f} s from here", seconds), .fix = {}};
    if (std::abs(seconds) > 5)
        finding.severity = Severity::warning,
        finding.fix = "synchronise both clocks (NTP): lag and freshness are measured with them";
    return finding;
}

Result<Finding> privileges(Session& session) {
    PN_TRY(auto rows,
           session.query(
               "SELECT count(*), count(*) FILTER (WHERE NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')), "
               "count(*) FILTER (WHERE c.relrowsecurity AND NOT (SELECT rolbypassrls OR rolsuper FROM "
               "pg_catalog.pg_roles WHERE rolname = current_user)), current_user "
               "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
               "WHERE c.relkind IN ('r','p','m') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"));
    int64_t all = rows.integer(0, 0), denied = rows.integer(0, 1), guarded = rows.integer(0, 2);
    Finding finding{.what = "privileges",
                    .detail = fmt::format("user {} may read {} of {} tables", rows.text(0, 3),
                                          humane_count(all - denied), humane_count(all)),
                    .fix = {}};
    if (denied > 0)
        finding.severity = Severity::warning,
        finding.fix = fmt::format("GRANT pg_read_all_data TO {}, or SELECT on the tables you load",
                                  quote_identifier(rows.text(0, 3)));
    if (guarded > 0) {
        finding.severity = Severity::warning;
        finding.detail += fmt::format("; {} have row security", humane_count(guarded));
        finding.fix = fmt::format("loading them stops rather than miss rows: ALTER ROLE {} BYPASSRLS",
                                  quote_identifier(rows.text(0, 3)));
    }
    return finding;
}

Result<Finding> open_transactions(Session& session) {
    PN_TRY(auto around, read_surroundings(session));
    auto oldest = std::chrono::duration<double>(static_cast<double>(around.oldest_micros) / 1e6);
    if (!around.all_visible)
        return Finding{Severity::warning, "open transactions",
                       "not all of them can be seen by this user (or from a standby, or some are prepared)",
                       "GRANT pg_read_all_stats TO the user; until then increments by time look through the whole "
                       "table for late rows"};
    Finding finding{
        .what = "open transactions",
        .detail = around.oldest_micros == 0 ? "none" : "the oldest began " + humane_duration(oldest) + " ago",
        .fix = {}};
    if (oldest.count() > 3600)
        finding.severity = Severity::warning,
        finding.fix = "increments re-read back to its start; see pg_stat_activity";
    return finding;
}

Result<Finding> encoding(Session& session) {
    std::string name = session.parameter("server_encoding");
    if (name != "SQL_ASCII") return Finding{.what = "encoding", .detail = name, .fix = {}};
    return Finding{Severity::warning, "encoding", "SQL_ASCII: the server does not check text",
                   "text that is not UTF-8 will be rejected; on_reject decides what then"};
}

Result<Finding> connections(Session& session) {
    PN_TRY(auto rows, session.query("SELECT pg_catalog.current_setting('max_connections')::int, (SELECT count(*) FROM "
                                    "pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')"));
    int64_t most = rows.integer(0, 0), used = rows.integer(0, 1);
    Finding finding{.what = "connections", .detail = fmt::format("{} of {} in use", used, most), .fix = {}};
    if (most - used < 5)
        finding.severity = Severity::warning,
        finding.fix = "a run takes parallel + 2 connections; raise max_connections or lower parallel";
    return finding;
}

/// Nothing is wrong with a server that cannot: only `changes:` asks for it.
Result<Finding> change_capture(Session& session) {
    PN_TRY(auto rows, session.query("SELECT pg_catalog.current_setting('wal_level'), (SELECT rolreplication OR "
                                    "rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), current_user, "
                                    "pg_catalog.current_setting('max_replication_slots')::int, (SELECT count(*) FROM "
                                    "pg_catalog.pg_replication_slots)"));
    std::string missing;
    if (rows.text(0, 0) != "logical") missing = "wal_level = logical (ALTER SYSTEM, then a restart)";
    if (!rows.truth(0, 1))
        missing +=
            fmt::format("{}ALTER ROLE {} REPLICATION", missing.empty() ? "" : "; ", quote_identifier(rows.text(0, 2)));
    if (!missing.empty())
        return Finding{
            .what = "change capture", .detail = "not possible yet; `changes:` would need " + missing, .fix = {}};
    int64_t most = rows.integer(0, 3), used = rows.integer(0, 4);
    Finding finding{.what = "change capture",
                    .detail = fmt::format("possible; {} of {} replication slots in use", used, most),
                    .fix = {}};
    if (most - used < 2)
        finding.severity = Severity::warning,
        finding.fix = "a pipeline takes one slot, and another while a table joins: raise max_replication_slots";
    return finding;
}

/// WAL that slots hold back fills the server's disk, in the end.
Result<Finding> replication_slots(Session& session) {
    PN_TRY(auto slots, list_slots(session));
    Finding finding{.what = "replication slots", .detail = slots.empty() ? "none" : "", .fix = {}};
    auto bytes = [](int64_t count) { return humane_bytes(static_cast<uint64_t>(std::max<int64_t>(count, 0))); };
    for (const auto& slot : slots) {
        finding.detail += fmt::format("{}{}: {}", finding.detail.empty() ? "" : "; ", slot.name,
                                      slot.lost()   ? "lost"
                                      : slot.active ? "read by " + slot.holder
                                                    : "nobody reads it");
        if (slot.retained_bytes)
            finding.detail += fmt::format(", keeps {} of the server's log", bytes(*slot.retained_bytes));
        if (slot.safe_wal_size && !slot.lost())
            finding.detail += fmt::format(", {} more may be written before it is lost", bytes(*slot.safe_wal_size));
        auto concern = slot_concern(slot, "");
        if (!concern) continue;
        finding.severity = Severity::warning;
        finding.detail += fmt::format(" ({})", concern->what);
        finding.fix += fmt::format("{}{}: {}", finding.fix.empty() ? "" : "; ", slot.name, concern->fix);
    }
    return finding;
}

}  // namespace

Result<std::vector<Finding>> doctor(const config::Node& node, const std::filesystem::path&, std::stop_token stop) {
    PN_TRY(auto options, parse_connection(node, node.path.substr(node.path.rfind('.') + 1)));
    PN_TRY(auto session, Session::connect(options, "penstock/doctor", stop));
    std::vector<Finding> findings = {
        {.what = "connect", .detail = session->place().text(), .fix = {}}, version(*session), encryption(*session)};
    for (auto* look :
         {clock_skew, encoding, privileges, open_transactions, connections, change_capture, replication_slots}) {
        PN_TRY(auto finding, look(*session));
        findings.push_back(std::move(finding));
    }
    return findings;
}

Result<std::vector<flow::TableInfo>> discover_all(const config::Node& node, const std::filesystem::path&,
                                                  std::stop_token stop) {
    PN_TRY(auto options, parse_connection(node, node.path.substr(node.path.rfind('.') + 1)));
    PN_TRY(auto session, Session::connect(options, "penstock/init", stop));
    PN_TRY(auto relations, all_relations(*session));
    std::vector<flow::TableInfo> tables;
    for (const auto& relation : relations) {
        flow::TableInfo table{.name = relation.full_name(),
                              .schema = {},
                              .key = relation.primary_key,
                              .key_is_unique = !relation.primary_key.empty()};
        table.estimated_rows = static_cast<int64_t>(relation.rows);
        for (const auto& column : relation.columns)
            table.schema.fields.push_back(
                {.name = column.name, .nullable = !column.not_null, .source_type = column.shown_type});
        for (std::string_view name : cursor_names) {
            int at = table.schema.find(name);
            if (at < 0 || !table.cursor.empty()) continue;
            const auto& type = table.schema.fields[static_cast<size_t>(at)].source_type;
            if (type.starts_with("timestamp") || type == "date") table.cursor = name;
        }
        tables.push_back(std::move(table));
    }
    return tables;
}

}  // namespace penstock::postgres
