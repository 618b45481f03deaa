#include "connect/postgres/session.h"

#include <fmt/format.h>
#include <poll.h>

#include <cstdlib>
#include <utility>

#include "base/assert.h"
#include "base/humane.h"
#include "base/log.h"
#include "base/secret.h"

namespace penstock::postgres {
namespace {

using std::chrono::steady_clock;

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return redact(std::move(text));
}

/// What libpq says of a failed connection has no code; the sentences it and the server use are stable enough to tell who
/// must act. Sources: libpq fe-connect.c, fe-secure-openssl.c; server auth.c, postmaster.c.
struct ConnectFailure {
    std::string_view phrase;
    ErrorKind kind;
    std::string_view code;
    std::string_view what;
    std::string_view hint;
};

constexpr ConnectFailure connect_failures[] = {
    {"does not match host name", ErrorKind::refused, "tls_name_mismatch",
     "the server's certificate was issued for another host name",
     "connect by the name in the certificate (host=… hostaddr=… keeps the address), or have the certificate reissued; "
     "mode: verify-ca skips this check"},
    {"certificate verify failed", ErrorKind::refused, "tls_not_trusted",
     "the server's certificate is not signed by an authority we trust",
     "set tls.ca to the certificate of the authority that signed it"},
    {"root certificate file", ErrorKind::refused, "tls_no_ca", "the file with trusted certificates cannot be used",
     "set tls.ca to a readable PEM file; verify-full and verify-ca need one"},
    {"certificate file", ErrorKind::refused, "tls_certificate", "the client certificate cannot be used",
     "check tls.cert"},
    {"private key file", ErrorKind::refused, "tls_key", "the private key cannot be used",
     "check tls.key: it must exist, belong to tls.cert, and be readable by its owner only (chmod 600)"},
    {"does not support SSL", ErrorKind::refused, "tls_unsupported", "the server does not offer TLS",
     "switch ssl on in the server, or set tls.mode: disable where the network is trusted"},
    {"password authentication failed", ErrorKind::refused, "authentication_failed",
     "the server refused the user's password", "check user and password in the connection's url"},
    {"no password supplied", ErrorKind::refused, "authentication_failed",
     "the server asks for a password and none was given", "put it into the url, a passfile (~/.pgpass) or PGPASSWORD"},
    {"certificate authentication failed", ErrorKind::refused, "authentication_failed",
     "the server refused the client certificate for this user",
     "the certificate's CN must be the user's name, or be mapped to it in pg_ident.conf"},
    {"requires a valid client certificate", ErrorKind::refused, "authentication_failed",
     "the server asks for a client certificate", "set tls.cert and tls.key"},
    {"authentication failed", ErrorKind::refused, "authentication_failed", "the server refused the user",
     "check the user and pg_hba.conf's method for it"},
    {"no pg_hba.conf entry", ErrorKind::refused, "not_allowed",
     "the server lets nobody in from here with this user, database and encryption",
     "add a line to the server's pg_hba.conf"},
    // These name a role or a database, too.
    {"too many connections", ErrorKind::unavailable, "too_many_connections",
     "the role or database has all the connections it is allowed", "lower parallel, or raise the CONNECTION LIMIT"},
    {"permission denied for database", ErrorKind::refused, "no_connect_privilege",
     "the user may not connect to the database", "as its owner or a superuser: GRANT CONNECT ON DATABASE … TO …"},
    {"not currently accepting connections", ErrorKind::refused, "database_closed",
     "the database takes no connections", "as a superuser: ALTER DATABASE … ALLOW_CONNECTIONS true"},
    {"not permitted to log in", ErrorKind::refused, "no_login", "the user may not log in",
     "as a superuser: ALTER ROLE … LOGIN, or name another user in the connection's url"},
    {"role \"", ErrorKind::refused, "no_such_role", "the user does not exist",
     "check the user in the connection's url"},
    {"database \"", ErrorKind::refused, "no_such_database", "the database does not exist",
     "check the database in the connection's url"},
    {"definition of service", ErrorKind::refused, "no_such_service", "the service is not in the service file",
     "check service= and PGSERVICEFILE"},
    {"could not translate host name", ErrorKind::unavailable, "unknown_host", "the host name is unknown",
     "check the host in the connection's url, and DNS"},
    {"Connection refused", ErrorKind::unavailable, "connection_refused", "nothing listens there",
     "is the server running, and are host and port right?"},
    {"No such file or directory", ErrorKind::unavailable, "connection_refused", "there is no such socket",
     "is the server running, and is the socket's folder right?"},
    {"timeout expired", ErrorKind::unavailable, "connect_timeout", "the server did not answer in time",
     "is there a firewall in between? connect_timeout sets the patience"},
    {"the database system is", ErrorKind::unavailable, "server_starting", "the server is starting or stopping",
     "wait; retries will"},
    {"too many clients", ErrorKind::unavailable, "too_many_connections", "all of the server's connections are taken",
     "lower parallel, or raise max_connections"},
    {"max_wal_senders", ErrorKind::unavailable, "too_many_walsenders",
     "all of the server's connections for replication are taken",
     "raise max_wal_senders in the server (a restart), or end a replication that is not needed: see "
     "pg_stat_replication"},
    {"start walsender", ErrorKind::refused, "no_replication_privilege", "the user may not replicate",
     "as a superuser: ALTER ROLE … REPLICATION; managed servers have a role for it, as rds_replication"},
    {"start WAL sender", ErrorKind::refused, "no_replication_privilege", "the user may not replicate",
     "as a superuser: ALTER ROLE … REPLICATION; managed servers have a role for it, as rds_replication"},
    {"remaining connection slots", ErrorKind::unavailable, "too_many_connections",
     "all connections for ordinary users are taken", "lower parallel, or raise max_connections"},
    {"invalid URI", ErrorKind::configuration, "bad_url", "the url is not a PostgreSQL URL",
     "write postgres://user@host:5432/database; encode special characters of the password as %40 for @"},
    {"invalid connection option", ErrorKind::configuration, "bad_url", "the url holds an unknown parameter",
     "see libpq's connection parameters"},
    {"missing \"=\"", ErrorKind::configuration, "bad_url", "the url is neither an URL nor key=value pairs",
     "write postgres://user@host:5432/database"},
};

Error connect_error(const Place& place, const std::string& library_words) {
    Error cause{.kind = ErrorKind::refused, .code = "libpq", .message = trimmed(library_words)};
    for (const auto& failure : connect_failures) {
        if (library_words.find(failure.phrase) == std::string::npos) continue;
        return {.kind = failure.kind,
                .code = std::string(failure.code),
                .message = fmt::format("cannot connect to {}: {}", place.text(), failure.what),
                .where = "connections." + place.connection,
                .hint = std::string(failure.hint),
                .cause = std::make_shared<Error>(std::move(cause))};
    }
    return {.kind = ErrorKind::unavailable,
            .code = "connect_failed",
            .message = fmt::format("cannot connect to {}", place.text()),
            .where = "connections." + place.connection,
            .hint = "`penstock doctor` looks closer",
            .cause = std::make_shared<Error>(std::move(cause))};
}

/// The connection parameters, later ones over earlier: the URL expands through dbname (libpq's expand_dbname), then ours.
class Parameters {
  public:
    Parameters(const ConnectionOptions& options, const std::string& purpose, Session::Channel channel) {
        add("dbname", options.url.reveal());
        // An URL's own application_name stays: fallback_… is libpq's name for a default.
        add("fallback_application_name", purpose);
        add("client_encoding", "UTF8");
        add("gssencmode",
            "disable");  // we read the socket ourselves after authentication; TLS is understood, GSS is not
        // A peer that is gone without a word is noticed within a minute; the system's own 75 s nine times would be twelve.
        add("keepalives_idle", "30");
        add("keepalives_interval", "10");
        add("keepalives_count", "3");
        if (channel == Session::Channel::replication) {
            add("replication", "database");
            add("tcp_user_timeout", "60000");  // a stream may be silent for hours: what we send must be acknowledged
        }
        if (options.tls) add_tls(*options.tls);
        names_.push_back(nullptr);
        values_.push_back(nullptr);
    }
    const char* const* names() const { return names_.data(); }
    const char* const* values() const { return values_.data(); }

  private:
    void add(const char* name, std::string value) {
        kept_.push_back(std::make_unique<std::string>(std::move(value)));
        names_.push_back(name);
        values_.push_back(kept_.back()->c_str());
    }
    void add_tls(const TlsOptions& tls) {
        add("sslmode", std::string(to_string(tls.mode)));
        if (!tls.ca.empty()) add("sslrootcert", tls.ca.value);
        if (!tls.cert.empty()) add("sslcert", tls.cert.value);
        if (!tls.key.empty()) add("sslkey", tls.key.value);
        if (!tls.key_password.empty()) add("sslpassword", tls.key_password.reveal());
    }

    std::vector<std::unique_ptr<std::string>> kept_;
    std::vector<const char*> names_;
    std::vector<const char*> values_;
};

/// Waits for libpq's connection attempt in short steps, so that a stop is seen at once.
Status finish_connecting(PGconn* connection, const Place& place, std::chrono::microseconds timeout,
                         std::stop_token stop) {
    auto deadline = steady_clock::now() + timeout;
    auto state = PGRES_POLLING_WRITING;
    while (true) {
        if (stop.stop_requested())
            return fail({.kind = ErrorKind::interrupted,
                         .code = "interrupted",
                         .message = fmt::format("stopped while connecting to {}", place.text())});
        if (steady_clock::now() > deadline) return fail(connect_error(place, "timeout expired"));
        pollfd wait{.fd = PQsocket(connection),
                    .events = static_cast<short>(state == PGRES_POLLING_READING ? POLLIN : POLLOUT),
                    .revents = 0};
        if (poll(&wait, 1, 100) == 0) continue;
        state = PQconnectPoll(connection);
        if (state == PGRES_POLLING_OK) return {};
        if (state == PGRES_POLLING_FAILED) return fail(connect_error(place, PQerrorMessage(connection)));
    }
}

Place place_of(PGconn* connection, const std::string& name) {
    auto text = [](const char* value) { return value == nullptr ? std::string() : std::string(value); };
    std::string host = text(PQhost(connection));
    bool socket = host.starts_with('/');
    return {name,
            socket ? fmt::format("{}/.s.PGSQL.{}, database {}", host, text(PQport(connection)), text(PQdb(connection)))
                   : fmt::format("{}:{}/{}", host, text(PQport(connection)), text(PQdb(connection)))};
}

}  // namespace

std::string Place::text() const {
    return endpoint.empty() ? fmt::format("'{}'", connection) : fmt::format("'{}' ({})", connection, endpoint);
}

int64_t Rows::integer(int row, int column) const {
    return std::strtoll(PQgetvalue(result_.get(), row, column), nullptr, 10);
}
double Rows::number(int row, int column) const { return std::strtod(PQgetvalue(result_.get(), row, column), nullptr); }

Result<std::unique_ptr<Session>> Session::connect(const ConnectionOptions& options, const std::string& purpose,
                                                  std::stop_token stop, Channel channel) {
    Parameters parameters(options, purpose, channel);
    PGconn* connection = PQconnectStartParams(parameters.names(), parameters.values(), 1);
    if (connection == nullptr)
        return fail({.kind = ErrorKind::capacity, .code = "out_of_memory", .message = "no memory for a connection"});
    std::unique_ptr<Session> session(new Session(connection, place_of(connection, options.name), channel));
    if (PQstatus(connection) == CONNECTION_BAD)
        return fail(connect_error({options.name, {}}, PQerrorMessage(connection)));
    PN_CHECK(finish_connecting(connection, session->place_, options.connect_timeout, stop));
    PQsetNoticeProcessor(
        connection, [](void*, const char* message) { log::debug("server notice: {}", trimmed(message)); }, nullptr);
    PN_CHECK(session->prepare_session(options));
    return session;
}

Session::~Session() { PQfinish(connection_); }

Status Session::prepare_session(const ConnectionOptions& options) {
    auto millis = [](std::chrono::microseconds time) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
    };
    std::string settings =
        "SET default_transaction_read_only = on; SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET "
        "timezone = 'UTC'; "
        "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET row_security = off; SET "
        "idle_in_transaction_session_timeout = 0; ";
    if (server_version() >= 140000) settings += "SET idle_session_timeout = 0; ";
    if (server_version() >= 170000) settings += "SET transaction_timeout = 0; ";
    // Asked for UTF-8, such a database fails a whole COPY over one byte; as it is, we judge each value.
    if (parameter("server_encoding") == "SQL_ASCII") settings += "SET client_encoding = 'SQL_ASCII'; ";
    settings += fmt::format("SET statement_timeout = {}; ",
                            millis(options.statement_timeout.value_or(std::chrono::microseconds(0))));
    auto lock_timeout = channel_ == Channel::replication ? std::chrono::microseconds(0)
                                                         : options.lock_timeout.value_or(std::chrono::seconds(30));
    settings += fmt::format("SET lock_timeout = {}", millis(lock_timeout));
    return execute(settings);
}

Result<Rows> Session::query(const std::string& sql, const std::vector<std::string>& parameters) {
    // A walsender knows the simple protocol only (PostgreSQL documentation, "Streaming Replication Protocol").
    if (channel_ == Channel::replication) {
        PN_ASSERT(parameters.empty());
        return take(PQexec(connection_, sql.c_str()), sql);
    }
    std::vector<const char*> values;
    for (const auto& parameter : parameters) values.push_back(parameter.c_str());
    return take(PQexecParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                             nullptr, 0),
                sql);
}

Status Session::execute(const std::string& sql) {
    PN_CHECK(take(PQexec(connection_, sql.c_str()), sql));
    return {};
}

Result<Rows> Session::query_patiently(const std::string& sql, std::stop_token stop,
                                      const std::function<void()>& waiting) {
    auto lost = [&] { return fail(server_error(place_, "08006", trimmed(PQerrorMessage(connection_)), "", "", sql)); };
    if (PQsendQuery(connection_, sql.c_str()) == 0) return lost();
    bool cancelled = false;
    auto next_word = steady_clock::now() + std::chrono::seconds(10);
    while (PQisBusy(connection_) != 0) {
        if (stop.stop_requested() && !std::exchange(cancelled, true)) cancel();
        if (steady_clock::now() > next_word) {
            waiting();
            next_word += std::chrono::seconds(10);
        }
        pollfd wait{.fd = PQsocket(connection_), .events = POLLIN, .revents = 0};
        if (poll(&wait, 1, 100) > 0 && PQconsumeInput(connection_) == 0) return lost();
    }
    auto rows = take(PQgetResult(connection_), sql);
    while (PGresult* rest = PQgetResult(connection_)) PQclear(rest);
    if (!rows && cancelled)
        return fail({.kind = ErrorKind::interrupted,
                     .code = "interrupted",
                     .message = fmt::format("stopped while waiting for {}", place_.text())});
    return rows;
}

Result<Rows> Session::describe(const std::string& sql) {
    PN_CHECK(take(PQprepare(connection_, "", sql.c_str(), 0, nullptr), sql));
    return take(PQdescribePrepared(connection_, ""), sql);
}

Result<Rows> Session::take(PGresult* result, const std::string& sql) {
    Rows rows(result);
    switch (PQresultStatus(result)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK: return rows;
        default: break;
    }
    auto field = [&](int code) {
        const char* value = PQresultErrorField(result, code);
        return std::string(value == nullptr ? "" : value);
    };
    if (PQstatus(connection_) == CONNECTION_BAD && field(PG_DIAG_SQLSTATE).empty())
        return fail(server_error(place_, "08006", trimmed(PQerrorMessage(connection_)), "", "", sql));
    return fail(server_error(place_, field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_PRIMARY),
                             field(PG_DIAG_MESSAGE_DETAIL), field(PG_DIAG_MESSAGE_HINT), sql));
}

std::string Session::parameter(const char* name) const {
    const char* value = PQparameterStatus(connection_, name);
    return value == nullptr ? "" : value;
}

void Session::cancel() noexcept {
    PGcancel* handle = PQgetCancel(connection_);
    if (handle == nullptr) return;
    char words[256];
    PQcancel(handle, words, sizeof words);  // best effort: the connection may be gone already
    PQfreeCancel(handle);
}

std::string quote_identifier(std::string_view name) {
    std::string out = "\"";
    for (char c : name) out += c == '"' ? "\"\"" : std::string(1, c);
    return out + '"';
}

std::string quote_literal(std::string_view text) {
    // E'' only where needed, so that standard_conforming_strings = off cannot change the meaning.
    bool escape = text.find('\\') != text.npos;
    std::string out = escape ? "E'" : "'";
    for (char c : text) {
        if (c == '\'' || c == '\\') out += c;
        out += c;
    }
    return out + '\'';
}

}  // namespace penstock::postgres
