#include <fmt/format.h>

#include "base/secret.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {
namespace {

struct Verdict {
    std::string_view sqlstate;  ///< whole, or its first two characters for a class
    ErrorKind kind;
    std::string_view code;
    std::string_view hint;
};

/// Who must act on an answer of the server. Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes".
constexpr Verdict verdicts[] = {
    {"25006", ErrorKind::refused, "read_only",
     "the where clause or query calls something that writes; Penstock only reads"},
    {"26", ErrorKind::unavailable, "statement_lost",
     "a connection pooler in transaction mode may be in between; connect to the server itself"},
    {"28", ErrorKind::refused, "authentication_failed", "check user and password in the connection's url"},
    {"3D000", ErrorKind::refused, "no_such_database", "check the database in the connection's url"},
    {"3F000", ErrorKind::refused, "no_such_schema", "check the schema's name"},
    {"40", ErrorKind::unavailable, "serialization",
     "the server gave up for another transaction; a retry usually passes"},
    {"42501", ErrorKind::refused, "no_privilege",
     "grant it: GRANT USAGE ON SCHEMA … and GRANT SELECT ON … TO the user; tables with row security need BYPASSRLS"},
    {"42601", ErrorKind::configuration, "sql_syntax", "check where: and query: in the source"},
    {"42703", ErrorKind::configuration, "no_such_column", "check the columns named in where:, query: and cursor:"},
    {"42P01", ErrorKind::refused, "no_such_table",
     "check the table's name and schema; `penstock init --from` lists what is there"},
    {"42", ErrorKind::configuration, "sql_error", "check where: and query: in the source"},
    {"53100", ErrorKind::unavailable, "server_disk_full", "the server has no disk space left"},
    {"53300", ErrorKind::unavailable, "too_many_connections", "lower parallel, or raise max_connections"},
    {"53", ErrorKind::unavailable, "server_resources", "the server is out of a resource"},
    {"55P03", ErrorKind::unavailable, "lock_timeout",
     "somebody holds an exclusive lock on the table; see pg_stat_activity, or raise lock_timeout"},
    {"57014", ErrorKind::refused, "statement_timeout", "raise statement_timeout, or read less at a time"},
    {"57P", ErrorKind::unavailable, "server_gone", "the server is stopping, restarting, or ended the connection"},
    {"58", ErrorKind::unavailable, "server_system", "see the server's log"},
    {"22P05", ErrorKind::data, "untranslatable_character",
     "the database's encoding has characters that UTF-8 has not; read the column as bytea by a query:"},
    {"22", ErrorKind::data, "server_data", "an expression of where: or query: fails on a value"},
    {"XX", ErrorKind::unavailable, "server_internal", "see the server's log"},
    {"08", ErrorKind::unavailable, "connection_lost", "is the server running? see its log"},
};

/// The statement's beginning, enough to recognise it.
std::string brief(std::string_view sql) {
    std::string out;
    for (char c : sql.substr(0, 160)) out += c == '\n' ? ' ' : c;
    return sql.size() > 160 ? out + "…" : out;
}

}  // namespace

Error server_error(const Place& place, std::string_view sqlstate, std::string_view message, std::string_view detail,
                   std::string_view hint, std::string_view doing) {
    Verdict verdict{"", ErrorKind::refused, "server_error", "see the server's log"};
    for (const auto& known : verdicts) {
        if (!sqlstate.starts_with(known.sqlstate) || sqlstate.empty()) continue;
        verdict = known;
        break;
    }
    std::string words = redact(std::string(message));
    if (!detail.empty()) words += fmt::format(" ({})", redact(std::string(detail)));
    Error cause{.kind = verdict.kind,
                .code = "sqlstate_" + std::string(sqlstate),
                .message = fmt::format("in: {}", redact(brief(doing)))};
    bool gone = verdict.code == "connection_lost" || verdict.code == "server_gone";
    return {.kind = verdict.kind,
            .code = std::string(verdict.code),
            .message = gone ? fmt::format("lost the connection to {}: {}", place.text(),
                                          words.empty() ? "the server closed it" : words)
                            : fmt::format("{} answered: {} (SQLSTATE {})", place.text(), words, sqlstate),
            .where = "connections." + place.connection,
            .hint = hint.empty() ? std::string(verdict.hint)
                                 : fmt::format("{}; the server suggests: {}", verdict.hint, redact(std::string(hint))),
            .cause = std::make_shared<Error>(std::move(cause))};
}

}  // namespace penstock::postgres
