#include "state/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>
#include <thread>

#include "base/humane.h"
#include "base/log.h"
#include "state/migrations.h"

namespace penstock::state {
namespace {

using Clock = std::chrono::steady_clock;

long long newest_version() { return static_cast<long long>(migrations().size()); }

void execute_each(soci::session& sql, const Dialect& dialect, std::string_view statements) {
    for (auto end = statements.find(';'); end != statements.npos; end = statements.find(';')) {
        try {
            sql << std::string(statements.substr(0, end));
        } catch (const std::exception& error) {
            if (!dialect.done_before(error)) throw;
        }
        statements.remove_prefix(end + 1);
    }
}

Error newer_schema(const Place& place, long long version) {
    return {.kind = ErrorKind::refused,
            .code = "state_newer",
            .message = fmt::format("the state was written by a newer penstock (schema {}, this one knows {})", version,
                                   newest_version()),
            .where = place.shown,
            .hint = "use that version, or name another place by `state:` or --state"};
}

Error foreign_table(const Place& place, const std::string& table) {
    return {.kind = ErrorKind::refused,
            .code = "state_foreign",
            .message = fmt::format("the database holds a table '{}' that is not of a state", table),
            .where = place.shown,
            .hint = "give the state a database of its own"};
}

}  // namespace

/// How often, and for how long, something is tried.
class Connection::Trial {
  public:
    Trial(const Connection& connection) : connection_(connection) {}

    /// Waits, if what failed is worth another try and there is time left for it.
    bool again(const Error& error) {
        auto limit = connection_.fault_ == Fault::overtaken ? busy_time : connection_.patience_;
        if (connection_.fault_ != Fault::overtaken && connection_.fault_ != Fault::lost) return false;
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(begun_ + limit - Clock::now());
        if (left.count() <= 0) return false;
        // A connection that was ended for being idle is made again without a word.
        if (connection_.fault_ == Fault::lost && ++lost_ == 2 && connection_.patience_ > short_patience)
            log::warning("{}; trying again for {}", error.message, humane_duration(left));
        std::this_thread::sleep_for(std::min(left, delay()));
        return true;
    }

  private:
    /// Doubling up to two seconds, and uneven, so that processes that met once do not meet again.
    std::chrono::milliseconds delay() {
        static thread_local std::minstd_rand random(std::random_device{}());
        longest_ = std::min(longest_ * 2, std::chrono::milliseconds(2'000));
        return std::chrono::milliseconds(1 + static_cast<int64_t>(random()) % longest_.count());
    }

    const Connection& connection_;
    Clock::time_point begun_ = Clock::now();
    std::chrono::milliseconds longest_{10};
    int lost_ = 0;
};

Connection::Connection(Place place) : place_(std::move(place)), dialect_(Dialect::of(place_.engine)) {
    session_.set_query_transformation([this](const std::string& statement) { return dialect_.translated(statement); });
}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::open(const Place& place, Create create, std::chrono::seconds patience) {
    std::unique_ptr<Connection> connection(new Connection(place));
    connection->patience_ = patience;
    if (place.engine == Engine::sqlite) {
        std::error_code ignored;
        if (create == Create::no && !std::filesystem::exists(place.file, ignored)) return nullptr;
        PN_CHECK(connection->prepare_file(create));
    }
    Trial trial(*connection);
    while (true) {
        Status opened;
        if (create == Create::no) {
            auto there = connection->is_there();
            if (there && !*there) return nullptr;
            if (!there) opened = fail(there.error());
        }
        if (opened) opened = connection->migrate();
        if (opened) return connection;
        if (!trial.again(opened.error())) return fail(opened.error());
    }
}

Result<std::unique_ptr<Connection>> Connection::open_foreign(const Place& place) {
    std::unique_ptr<Connection> connection(new Connection(place));
    PN_CHECK(connection->read([](soci::session&) -> Status { return {}; }));
    return connection;
}

Status Connection::prepare_file(Create create) {
    // A bare file name stands in the working directory, which is there.
    if (create == Create::no || !place_.file.has_parent_path()) return {};
    std::error_code code;
    std::filesystem::create_directories(place_.file.parent_path(), code);
    if (!code) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "state_folder",
                 .message = fmt::format("the folder for the state cannot be made: {}", code.message()),
                 .where = place_.file.parent_path().string(),
                 .hint = "make it writable, or name another path by `state:` or --state"});
}

Status Connection::connect() try {
    if (connected_) return {};
    session_.close();
    dialect_.connect(session_, place_);
    connected_ = true;
    if (durable_) dialect_.make_durable(session_);
    return {};
} catch (const std::exception& error) {
    return fail(error_of(error));
}

Result<bool> Connection::is_there() {
    bool found = false;
    PN_CHECK(attempt([&](soci::session& sql) -> Status {
        found = dialect_.has_table(sql, "schema_version");
        return {};
    }));
    return found;
}

Status Connection::migrate() {
    return attempt([&](soci::session& sql) -> Status {
        long long version = 0;
        if (dialect_.has_table(sql, "schema_version"))
            sql << "SELECT version FROM penstock.schema_version", soci::into(version);
        if (version > newest_version()) return fail(newer_schema(place_, version));
        if (version == newest_version()) return {};
        Status made;
        try {
            dialect_.begin_schema(sql);
            made = make_schema(sql);
            if (made) dialect_.end_schema(sql);
        } catch (const std::exception& error) {
            made = fail(error_of(error));
        }
        if (!made) connected_ = false;  // hanging up lets go of everything
        return made;
    });
}

/// Others are kept away, but may have been quicker.
Status Connection::make_schema(soci::session& sql) {
    long long version = 0, rows = 0;
    if (!dialect_.has_table(sql, "schema_version")) {
        for (std::string table : {"runs", "locks", "seats", "checkpoints", "rejects", "messages", "spending", "bills"})
            if (dialect_.has_table(sql, table)) return fail(foreign_table(place_, table));
        sql << dialect_.with_types(sql, "CREATE TABLE penstock.schema_version (version BIGINT NOT NULL) {options}");
    }
    sql << "SELECT count(*), coalesce(max(version), 0) FROM penstock.schema_version", soci::into(rows),
        soci::into(version);
    if (rows == 0) sql << "INSERT INTO penstock.schema_version VALUES (0)";
    if (version > newest_version()) return fail(newer_schema(place_, version));
    while (version < newest_version()) {
        execute_each(sql, dialect_, dialect_.with_types(sql, migrations()[static_cast<size_t>(version)]));
        ++version;
        sql << "UPDATE penstock.schema_version SET version = :version", soci::use(version);
    }
    return {};
}

/// Once. Whatever fails, no transaction stays open.
Status Connection::attempt(const Work& work) try {
    fault_ = Fault::none;
    PN_CHECK(connect());
    return work(session_);
} catch (const std::exception& error) {
    return fail(error_of(error));
}

Status Connection::commit_attempt(const Work& work, const Landed& landed, bool& unanswered) {
    return attempt([&](soci::session& sql) -> Status {
        Status status;
        bool committing = false;
        try {
            // Waits for the end of the one whose answer was lost, if that is still under way at the server.
            dialect_.begin_alone(sql);
            auto happened = unanswered ? landed(sql) : false;
            if (!happened) status = fail(happened.error());
            else unanswered = false;
            if (status && !*happened) status = work(sql);
            committing = status.has_value();
            if (committing) sql << "COMMIT";
        } catch (const std::exception& error) {
            status = fail(error_of(error));
            if (committing && fault_ == Fault::lost) unanswered = true;
        }
        if (!status) roll_back();
        return status;
    });
}

/// What cannot be taken back by word is by hanging up.
void Connection::roll_back() {
    if (!connected_) return;
    try {
        session_ << "ROLLBACK";
    } catch (const std::exception&) {
        connected_ = place_.engine == Engine::sqlite;  // there it means that there is no transaction any more
    }
}

Status Connection::write(const Work& work, const Landed& landed) {
    Trial trial(*this);
    bool unanswered = false;
    while (true) {
        auto status = commit_attempt(work, landed, unanswered);
        if (status || !trial.again(status.error())) return status;
    }
}

Status Connection::write_again(const Work& work) {
    return write(work, [](soci::session&) -> Result<bool> { return false; });
}

Status Connection::read(const Work& work) {
    Trial trial(*this);
    while (true) {
        auto status = attempt(work);
        if (status || !trial.again(status.error())) return status;
    }
}

Status Connection::make_durable() {
    durable_ = true;
    return read([&](soci::session& sql) -> Status {
        auto doubt = dialect_.make_durable(sql);
        if (!doubt.empty()) log::warning("{}: {}", place_.shown, doubt);
        return {};
    });
}

Result<std::string> Connection::version() {
    std::string version;
    PN_CHECK(read([&](soci::session& sql) -> Status {
        version = dialect_.version(sql);
        return {};
    }));
    return version;
}

Error Connection::error_of(const std::exception& error) {
    fault_ = dialect_.fault(session_, error);
    if (fault_ == Fault::lost) {
        connected_ = false;
        return server_unavailable(place_, error);
    }
    return fault_ == Fault::overtaken ? server_busy(place_) : dialect_.error_of(place_, error);
}

}  // namespace penstock::state
