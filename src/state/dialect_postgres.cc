// PostgreSQL: our tables stand in a schema of their own, `penstock`.
#include <fmt/format.h>
#include <soci/postgresql/soci-postgresql.h>

#include <array>

#include "state/dialect.h"

namespace penstock::state {
namespace {

std::string sqlstate_of(const std::exception& error) {
    const auto* postgres = dynamic_cast<const soci::postgresql_soci_error*>(&error);
    return postgres != nullptr ? postgres->sqlstate() : "";
}

/// A connection that is not made has no SQLSTATE: only what the server or the library says.
bool may_come_back(const std::string& message) {
    if (message.find("FATAL") == message.npos)
        return message.find("certificate") == message.npos && message.find("SSL") == message.npos;
    for (auto passing : {"starting up", "shutting down", "recovery mode", "not yet accepting", "too many",
                         "connection slots", "terminating connection"})
        if (message.find(passing) != message.npos) return true;
    return false;
}

PGconn* postgres_of(soci::session& sql) {
    auto* backend = static_cast<soci::postgresql_session_backend*>(sql.get_backend());
    return backend == nullptr ? nullptr : backend->conn_;
}

class Postgres : public Dialect {
  public:
    void connect(soci::session& session, const Place& place) const override {
        session.open(soci::postgresql, place.connect.reveal());
        // What a server notices is not printed: standard error is for our own words.
        PQsetNoticeProcessor(postgres_of(session), [](void*, const char*) {}, nullptr);
        // A transaction whose process stands still must not keep others waiting for ever.
        session << "SELECT set_config('statement_timeout', '60s', false), set_config('lock_timeout', '20s', false), "
                   "set_config('idle_in_transaction_session_timeout', '30s', false)";
    }

    std::string translated(std::string statement) const override { return statement; }

    std::string with_types(soci::session&, std::string_view migration) const override {
        std::string text(migration);
        replace_each(text, "{name}", "TEXT");
        replace_each(text, "{text}", "TEXT");
        replace_each(text, "{double}", "DOUBLE PRECISION");
        replace_each(text, "{options}", "");
        return text;
    }

    /// Each statement after the first sees what the transactions before this one have committed.
    void begin_alone(soci::session& sql) const override {
        sql << "BEGIN ISOLATION LEVEL READ COMMITTED";
        long long version = 0;
        sql << "SELECT version FROM penstock.schema_version FOR UPDATE", soci::into(version);
    }

    bool has_table(soci::session& sql, const std::string& name) const override {
        std::string ours = "penstock." + name;
        long long count = 0;
        sql << "SELECT count(*) FROM (SELECT to_regclass(:name) AS found) AS f WHERE found IS NOT NULL",
            soci::use(ours), soci::into(count);
        return count != 0;
    }

    void begin_schema(soci::session& sql) const override {
        sql << "BEGIN ISOLATION LEVEL READ COMMITTED";
        sql << "SELECT pg_advisory_xact_lock(7305808869231650155)";
        long long schemas = 0;  // CREATE SCHEMA IF NOT EXISTS wants the privilege even where there is one
        sql << "SELECT count(*) FROM pg_namespace WHERE nspname = 'penstock'", soci::into(schemas);
        if (schemas == 0) sql << "CREATE SCHEMA penstock";
    }
    void end_schema(soci::session& sql) const override { sql << "COMMIT"; }

    std::string make_durable(soci::session& sql) const override {
        std::string value, fsync;
        sql << "SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'", soci::into(value);
        if (value == "off") sql << "SET synchronous_commit = on";
        sql << "SELECT setting FROM pg_settings WHERE name = 'fsync'", soci::into(fsync);
        if (fsync == "on") return {};
        return "fsync is off: a power cut at the server can take back checkpoints of buses that the source was told "
               "of; turn it on";
    }

    std::string version(soci::session& sql) const override {
        std::string version;
        sql << "SELECT setting FROM pg_settings WHERE name = 'server_version'", soci::into(version);
        return "PostgreSQL " + version.substr(0, version.find(' ')) +
               (PQsslInUse(postgres_of(sql)) != 0 ? ", over TLS" : ", not encrypted");
    }

    Fault fault(soci::session& sql, const std::exception& error) const override {
        auto state = sqlstate_of(error);
        if (state == "40001" || state == "40P01" || state == "55P03") return Fault::overtaken;
        if (state.starts_with("08") || state.starts_with("57P") || state == "53300" || state == "25006")
            return Fault::lost;
        const auto* connection = postgres_of(sql);
        if (connection == nullptr) return may_come_back(message_of(error)) ? Fault::lost : Fault::final_one;
        return PQstatus(connection) == CONNECTION_BAD ? Fault::lost : Fault::final_one;
    }

    Error error_of(const Place& place, const std::exception& error) const override {
        auto state = sqlstate_of(error);
        if (state == "40001" || state == "40P01" || state == "55P03") return server_busy(place);
        auto refused = server_refused(place, error);
        if (state == "42501")
            refused.hint =
                "as its owner: GRANT CREATE ON DATABASE … TO the user, or CREATE SCHEMA penstock AUTHORIZATION the "
                "user";
        return refused;
    }
};

}  // namespace

const Dialect& postgres_dialect() {
    static const Postgres dialect;
    return dialect;
}

}  // namespace penstock::state
