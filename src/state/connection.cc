#include "state/connection.h"

#include <fmt/format.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sqlite3.h>

#include <array>
#include <chrono>
#include <string_view>
#include <thread>

namespace penstock::state {
namespace {

/// How long a process waits for another one's transaction; all of ours are short.
constexpr int busy_seconds = 20;

// Each step brings the schema from its index to the next version. Steps are never edited, only added.
constexpr std::array migrations = {
    std::string_view(R"(
        CREATE TABLE runs (
            run_id            VARCHAR(64) PRIMARY KEY,
            pipeline          VARCHAR(255) NOT NULL,
            status            VARCHAR(16) NOT NULL,
            started_at        BIGINT NOT NULL,
            duration_seconds  DOUBLE NOT NULL,
            attempts          BIGINT NOT NULL,
            peak_memory_bytes BIGINT NOT NULL,
            tables            TEXT NOT NULL,
            error             TEXT NOT NULL,
            pid               BIGINT NOT NULL,
            pid_started       BIGINT NOT NULL,
            host              VARCHAR(255) NOT NULL,
            machine           VARCHAR(255) NOT NULL
        );
        CREATE INDEX runs_by_pipeline ON runs (pipeline, started_at);
        CREATE INDEX runs_by_start ON runs (started_at);
        CREATE TABLE locks (
            pipeline          VARCHAR(255) PRIMARY KEY,
            run_id            VARCHAR(64) NOT NULL,
            pid               BIGINT NOT NULL,
            pid_started       BIGINT NOT NULL,
            host              VARCHAR(255) NOT NULL,
            machine           VARCHAR(255) NOT NULL,
            acquired_at       BIGINT NOT NULL,
            lease_until       BIGINT NOT NULL
        );
    )"),
    // Of targets that cannot keep these themselves. An empty text or a zero time is none.
    std::string_view(R"(
        CREATE TABLE checkpoints (
            pipeline          VARCHAR(255) NOT NULL,
            source_table      VARCHAR(255) NOT NULL,
            target            VARCHAR(255) NOT NULL,
            connection        VARCHAR(255) NOT NULL,
            run_id            VARCHAR(64) NOT NULL,
            batch             BIGINT NOT NULL,
            cursor_from       TEXT NOT NULL,
            cursor_to         TEXT NOT NULL,
            source_position   TEXT NOT NULL,
            read_at           BIGINT NOT NULL,
            rows_read         BIGINT NOT NULL,
            rows_written      BIGINT NOT NULL,
            rows_rejected     BIGINT NOT NULL,
            rows_filtered     BIGINT NOT NULL,
            rows_deleted      BIGINT NOT NULL,
            committed_at      BIGINT NOT NULL,
            PRIMARY KEY (pipeline, source_table, target)
        );
        CREATE TABLE rejects (
            id                BIGINT PRIMARY KEY,
            pipeline          VARCHAR(255) NOT NULL,
            connection        VARCHAR(255) NOT NULL,
            run_id            VARCHAR(64) NOT NULL,
            source_table      VARCHAR(255) NOT NULL,
            route             TEXT NOT NULL,
            source_position   TEXT NOT NULL,
            row_key           TEXT NOT NULL,
            column_name       TEXT NOT NULL,
            code              VARCHAR(64) NOT NULL,
            reason            TEXT NOT NULL,
            payload           TEXT NOT NULL,
            received_at       BIGINT NOT NULL,
            replayed_at       BIGINT NOT NULL,
            discarded_at      BIGINT NOT NULL
        );
    )"),
};
constexpr long long newest_version = migrations.size();

Error configuration_error(std::string message, std::string hint) {
    return {
        .kind = ErrorKind::configuration, .code = "state_url", .message = std::move(message), .hint = std::move(hint)};
}

void execute_each(soci::session& sql, std::string_view statements) {
    for (auto end = statements.find(';'); end != statements.npos; end = statements.find(';')) {
        sql << std::string(statements.substr(0, end));
        statements.remove_prefix(end + 1);
    }
}

int result_of(const std::exception& error) {
    const auto* sqlite = dynamic_cast<const soci::sqlite3_soci_error*>(&error);
    return sqlite != nullptr ? sqlite->result() & 0xff : SQLITE_ERROR;
}

/// While several processes turn a new file to WAL, SQLite answers "busy" at once instead of waiting for `timeout`: two
/// that hold the read lock and want the exclusive one would wait for each other.
void enter_wal(soci::session& sql) {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(busy_seconds);
    while (true) try {
            sql << "PRAGMA journal_mode = WAL";
            return;
        } catch (const std::exception& error) {
            if (result_of(error) != SQLITE_BUSY || std::chrono::steady_clock::now() >= until) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
}

bool has_table(soci::session& sql, const std::string& name) {
    long long count = 0;
    sql << "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = :name", soci::use(name),
        soci::into(count);
    return count != 0;
}

long long schema_version(soci::session& sql) {
    if (!has_table(sql, "schema_version")) return 0;
    long long version = 0;
    sql << "SELECT version FROM schema_version", soci::into(version);
    return version;
}

Error newer_schema(const std::filesystem::path& file, long long version) {
    return {.kind = ErrorKind::refused,
            .code = "state_newer",
            .message = fmt::format("the state was written by a newer penstock (schema {}, this one knows {})", version,
                                   newest_version),
            .where = file.string(),
            .hint = "use that version, or name another file by `state:` or --state"};
}

}  // namespace

Result<std::filesystem::path> state_file(const std::string& url, const std::filesystem::path& directory) {
    auto colon = url.find(':');
    std::string scheme = url.substr(0, colon);
    if (colon != url.npos && (scheme == "mysql" || scheme == "postgres" || scheme == "postgresql"))
        return fail(configuration_error(fmt::format("state in {} is not available in this version", scheme),
                                        "use `state: sqlite:.penstock/state.db`"));
    std::string path = colon == url.npos ? "" : url.substr(colon + 1);
    if (path.starts_with("//")) path.erase(0, 2);
    if (scheme != "sqlite" || path.empty())
        return fail(configuration_error("the state's URL is not understood",
                                        "write `sqlite:` and a path, such as sqlite:.penstock/state.db"));
    if (path.find_first_of("\"?") != path.npos)
        return fail(configuration_error("the path of the state must not hold a quote or a question mark",
                                        "choose another path"));
    return directory / path;
}

Result<std::unique_ptr<Connection>> Connection::open(const std::filesystem::path& file, Create create) {
    std::error_code code;
    // A bare file name stands in the working directory, which is there.
    if (create == Create::yes && file.has_parent_path()) {
        std::filesystem::create_directories(file.parent_path(), code);
        if (code)
            return fail({.kind = ErrorKind::refused,
                         .code = "state_folder",
                         .message = fmt::format("the folder for the state cannot be made: {}", code.message()),
                         .where = file.parent_path().string(),
                         .hint = "make it writable, or name another path by `state:` or --state"});
    }
    std::unique_ptr<Connection> connection(new Connection(file));
    PN_CHECK(connection->connect());
    PN_CHECK(connection->migrate());
    return connection;
}

Status Connection::connect() try {
    // The path comes last: SOCI 4.0 reads nothing after a quoted value.
    session_.open(soci::sqlite3, fmt::format("timeout={} dbname=\"{}\"", busy_seconds, file_.string()));
    // With WAL readers and the writer do not wait for one another; a run's record need not survive a power cut of the
    // last instant, so NORMAL is enough.
    enter_wal(session_);
    session_ << "PRAGMA synchronous = NORMAL";
    return {};
} catch (const std::exception& error) {
    return fail(error_of(error));
}

Status Connection::migrate() {
    long long version = 0;
    auto read_version = [&](soci::session& sql) {
        version = schema_version(sql);
        return version > newest_version ? Status(fail(newer_schema(file_, version))) : Status();
    };
    PN_CHECK(read(read_version));
    if (version == newest_version) return {};
    return write([&](soci::session& sql) -> Status {
        PN_CHECK(read_version(sql));  // another process may have been quicker
        if (version == 0) {
            if (!has_table(sql, "schema_version")) sql << "CREATE TABLE schema_version (version BIGINT NOT NULL)";
            sql << "INSERT INTO schema_version VALUES (0)";
        }
        for (; version < newest_version; ++version) execute_each(sql, migrations[static_cast<size_t>(version)]);
        sql << "UPDATE schema_version SET version = :version", soci::use(version);
        return {};
    });
}

Status Connection::write(const std::function<Status(soci::session&)>& work) try {
    session_ << "BEGIN IMMEDIATE";
    Status status;
    try {
        status = work(session_);
        if (status) session_ << "COMMIT";
    } catch (const std::exception& error) {
        status = fail(error_of(error));
    }
    if (!status &&
        sqlite3_get_autocommit(static_cast<soci::sqlite3_session_backend*>(session_.get_backend())->conn_) == 0)
        session_ << "ROLLBACK";
    return status;
} catch (const std::exception& error) {
    return fail(error_of(error));
}

Status Connection::read(const std::function<Status(soci::session&)>& work) try {
    return work(session_);
} catch (const std::exception& error) {
    return fail(error_of(error));
}

Error Connection::error_of(const std::exception& error) const {
    Error out{.kind = ErrorKind::internal, .code = "state_failed", .message = "", .where = file_.string()};
    switch (result_of(error)) {
        case SQLITE_NOTADB:
            out.kind = ErrorKind::refused, out.code = "state_not_sqlite";
            out.message = "the state file is not a SQLite database";
            out.hint = "name another path by `state:` or --state, or move that file away";
            break;
        case SQLITE_CORRUPT:
            out.kind = ErrorKind::refused, out.code = "state_corrupt";
            out.message = "the state file is damaged";
            out.hint =
                "move it away: a new one is made. Run history is lost, and the checkpoints of targets that cannot keep "
                "them themselves (buses): their pipelines begin with a snapshot again";
            break;
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM:
            out.kind = ErrorKind::refused, out.code = "state_unwritable";
            out.message = "the state file cannot be opened for writing";
            out.hint = "make the file and its folder writable, or name another path by `state:` or --state";
            break;
        case SQLITE_FULL:
        case SQLITE_IOERR:
            out.kind = ErrorKind::capacity, out.code = "state_full";
            out.message = "the state cannot be written: the disk is full or broken";
            out.hint = "free space, or name another path by `state:` or --state";
            break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            out.kind = ErrorKind::conflict, out.code = "state_busy";
            out.message = fmt::format("another process has been writing the state for more than {} s", busy_seconds);
            out.hint = "find it with `fuser` on that file";
            break;
        default: out.message = fmt::format("the state cannot be used: {}", error.what());
    }
    return out;
}

}  // namespace penstock::state
