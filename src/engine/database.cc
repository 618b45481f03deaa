#include "engine/database.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "engine/error.h"
#include "engine/scan_function.h"
#include "engine/sql.h"

namespace penstock::engine {

struct Database::Handle {
    duckdb_database database = nullptr;
    ScanRegistry scans;  // must outlive the database, which knows its address
    bool read_only = false;

    ~Handle() { duckdb_close(&database); }
};

/// DuckDB's file lock keeps other processes out, not this one: a file opened twice here would be torn. So every file is open
/// once, and whoever asks again shares it.
struct OpenFiles {
    std::mutex mutex;
    std::map<std::filesystem::path, std::weak_ptr<Database::Handle>> handles;

    static OpenFiles& all() {
        static OpenFiles files;
        return files;
    }
};

namespace {

struct ConfigDelete {
    void operator()(duckdb_config config) const { duckdb_destroy_config(&config); }
};
using Config = std::unique_ptr<_duckdb_config, ConfigDelete>;

struct PreparedDelete {
    void operator()(duckdb_prepared_statement statement) const { duckdb_destroy_prepare(&statement); }
};
using Prepared = std::unique_ptr<_duckdb_prepared_statement, PreparedDelete>;

struct PendingDelete {
    void operator()(duckdb_pending_result pending) const { duckdb_destroy_pending(&pending); }
};
using Pending = std::unique_ptr<_duckdb_pending_result, PendingDelete>;

struct ExtractedDelete {
    void operator()(duckdb_extracted_statements statements) const { duckdb_destroy_extracted(&statements); }
};
using Extracted = std::unique_ptr<_duckdb_extracted_statements, ExtractedDelete>;

struct ResultGuard {
    duckdb_result result{};
    ~ResultGuard() { duckdb_destroy_result(&result); }
};

Error cancelled() { return error_from(DUCKDB_ERROR_INTERRUPT, ""); }

/// Runs a query's tasks on this thread as on DuckDB's own. Where all that is left is in the hands of other threads,
/// duckdb_execute_pending() spins; who reads a stream meanwhile, or the server beside us, has better use for the core.
Status run_tasks(duckdb_pending_result pending) {
    constexpr auto least = std::chrono::microseconds(20), most = std::chrono::microseconds(320);
    auto pause = least;
    while (true) {
        auto state = duckdb_pending_execute_task(pending);
        if (state == DUCKDB_PENDING_ERROR) return fail(error_from(DUCKDB_ERROR_INVALID, duckdb_pending_error(pending)));
        if (duckdb_pending_execution_is_finished(state)) return {};
        if (state != DUCKDB_PENDING_NO_TASKS_AVAILABLE) {
            pause = least;
            continue;
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(2 * pause, most);
    }
}

/// Runs a prepared statement to its end. The query is started before the stop callback is installed, because starting it
/// is what clears an earlier interrupt: none can get lost.
Status run(duckdb_connection connection, duckdb_prepared_statement statement, std::span<const Value> parameters,
           const std::stop_token& stop, duckdb_result& result) {
    for (size_t i = 0; i < parameters.size(); ++i) {
        const auto& value = parameters[i];
        auto bound = value ? duckdb_bind_varchar_length(statement, i + 1, value->data(), value->size())
                           : duckdb_bind_null(statement, i + 1);
        if (bound == DuckDBError) return fail(error_from(DUCKDB_ERROR_INVALID, "a parameter could not be bound"));
    }
    duckdb_pending_result raw = nullptr;
    auto started = duckdb_pending_prepared(statement, &raw);
    Pending pending(raw);
    if (started == DuckDBError) return fail(error_from(DUCKDB_ERROR_INVALID, duckdb_pending_error(raw)));
    std::stop_callback interrupt(stop, [connection] { duckdb_interrupt(connection); });
    PN_CHECK(run_tasks(raw));
    if (duckdb_execute_pending(raw, &result) == DuckDBError) {
        const char* message = duckdb_result_error(&result);
        return fail(error_from(duckdb_result_error_type(&result), message != nullptr ? message : "unknown failure"));
    }
    return {};
}

/// Calls `use` with the result of each statement in turn.
template <class Use>
Status run_all(duckdb_connection connection, const std::string& sql, std::span<const Value> parameters,
               const std::stop_token& stop, const Use& use) {
    duckdb_extracted_statements raw = nullptr;
    idx_t count = duckdb_extract_statements(connection, sql.c_str(), &raw);
    Extracted statements(raw);
    if (count == 0) {
        const char* message = duckdb_extract_statements_error(raw);
        if (message == nullptr) return {};
        return fail(error_from(DUCKDB_ERROR_PARSER, message));
    }
    for (idx_t i = 0; i < count; ++i) {
        if (stop.stop_requested()) return fail(cancelled());
        duckdb_prepared_statement prepared = nullptr;
        auto state = duckdb_prepare_extracted_statement(connection, raw, i, &prepared);
        Prepared statement(prepared);
        if (state == DuckDBError) return fail(error_from(DUCKDB_ERROR_INVALID, duckdb_prepare_error(prepared)));
        ResultGuard guard;
        PN_CHECK(run(connection, prepared, parameters, stop, guard.result));
        PN_CHECK(use(guard.result));
    }
    return {};
}

/// What waits in the log is in memory too.
uint64_t wal_bytes(const Settings& settings) {
    constexpr uint64_t least = uint64_t{16} << 20, most = uint64_t{128} << 20;
    return std::clamp(settings.memory_limit_bytes / 4, least, most);
}

Result<Config> configuration(const char* path, const Settings& settings, bool created) {
    duckdb_config raw = nullptr;
    if (duckdb_create_config(&raw) == DuckDBError)
        return fail(error_from(DUCKDB_ERROR_OUT_OF_MEMORY, "no memory for DuckDB's configuration"));
    Config config(raw);
    std::string temp = settings.temp_directory.string();
    if (temp.empty()) temp = path != nullptr ? std::string(path) + ".tmp" : ".penstock.tmp";
    std::vector<std::pair<const char*, std::string>> options = {
        {"threads", std::to_string(settings.threads)},
        {"memory_limit", fmt::format("{}KiB", settings.memory_limit_bytes / 1024)},
        {"temp_directory", temp},
        // Row groups reach the file as they fill; a second buffered one a thread would only cost memory.
        {"write_buffer_row_group_count", "1"},
        {"preserve_insertion_order", "false"},
        // A checkpoint compresses and writes what the log holds: many small commits are worth one together. Who opens the file
        // after a crash reads the log again, which takes a second for this much.
        {"wal_autocheckpoint", fmt::format("{}KiB", wal_bytes(settings) / 1024)},
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
        {"allow_community_extensions", "false"},
        {"extension_directory", temp + "/extensions"},
        {"access_mode", settings.read_only ? "READ_ONLY" : "AUTOMATIC"},
    };
    if (created) options.emplace_back("storage_compatibility_version", "v1.3.0");
    for (const auto& [name, value] : options)
        if (duckdb_set_config(raw, name, value.c_str()) == DuckDBError)
            return fail({.kind = ErrorKind::internal,
                         .code = "duckdb_setting",
                         .message = fmt::format("DuckDB refused the setting {} = {}", name, value)});
    return config;
}

}  // namespace

Result<Database> Database::open_with(const char* path, const Settings& settings, bool created) {
    PN_TRY(auto config, configuration(path, settings, created));
    Database database;
    database.handle_ = std::make_shared<Handle>();
    char* message = nullptr;
    if (duckdb_open_ext(path, &database.handle_->database, config.get(), &message) == DuckDBError) {
        Error error = open_error(path != nullptr ? path : "a database in memory",
                                 message != nullptr ? message : "unknown failure");
        duckdb_free(message);
        return fail(std::move(error));
    }
    PN_TRY(auto connection, database.connect());
    PN_CHECK(ScanRegistry::install(connection.native(), database.handle_->scans));
    return database;
}

Result<Database> Database::open(const std::filesystem::path& file, const Settings& settings) {
    std::error_code ignored;
    bool created = !std::filesystem::exists(file, ignored);
    auto path = std::filesystem::weakly_canonical(file, ignored);
    auto& files = OpenFiles::all();
    std::lock_guard lock(files.mutex);
    Database database;
    database.handle_ = files.handles[path].lock();
    if (database.handle_ == nullptr) {
        PN_TRY(database, open_with(file.c_str(), settings, created));
        database.handle_->read_only = settings.read_only;
        files.handles[path] = database.handle_;
    } else if (database.handle_->read_only && !settings.read_only) {
        return fail(open_error(file, "Could not set lock: this process reads it"));
    }
    return database;
}

Result<Database> Database::in_memory(const Settings& settings) { return open_with(nullptr, settings, true); }

Result<Connection> Database::connect(std::stop_token stop) {
    duckdb_connection connection = nullptr;
    if (duckdb_connect(handle_->database, &connection) == DuckDBError)
        return fail(error_from(DUCKDB_ERROR_CONNECTION, "a session could not be opened"));
    Connection session(handle_, connection, std::move(stop));
    PN_TRY([[maybe_unused]] auto none, session.execute("SET TimeZone = 'UTC'"));
    return session;
}

ScanRegistry& Database::scans() const { return handle_->scans; }

const std::string& Rows::text(size_t row, size_t column) const {
    static const std::string none;
    const auto& value = rows[row][column];
    return value ? *value : none;
}

int64_t Rows::number(size_t row, size_t column) const {
    const auto& value = rows[row][column];
    return value ? std::stoll(*value) : 0;
}

Connection::Connection(std::shared_ptr<Database::Handle> handle, duckdb_connection connection, std::stop_token stop)
    : handle_(std::move(handle)), connection_(connection), stop_(std::move(stop)) {}

Connection::Connection(Connection&& other) noexcept
    : handle_(std::move(other.handle_)), connection_(other.connection_), stop_(std::move(other.stop_)) {
    other.connection_ = nullptr;
}

Connection::~Connection() { duckdb_disconnect(&connection_); }

Result<int64_t> Connection::execute(const std::string& sql) { return execute(sql, {}); }

Result<int64_t> Connection::execute(const std::string& sql, std::span<const Value> parameters) {
    int64_t changed = 0;
    PN_CHECK(run_all(connection_, sql, parameters, stop_, [&](duckdb_result& result) -> Status {
        changed = static_cast<int64_t>(duckdb_rows_changed(&result));
        return {};
    }));
    return changed;
}

Status Connection::with_result(const std::string& sql, std::span<const Value> parameters,
                               const std::function<Status(duckdb_result&)>& use) {
    return run_all(connection_, sql, parameters, stop_, use);
}

void Connection::rollback() noexcept {
    ResultGuard guard;
    // Not through run_all: it must work after a stop, and "no transaction is active" is no failure here.
    duckdb_query(connection_, "ROLLBACK", &guard.result);
}

}  // namespace penstock::engine
