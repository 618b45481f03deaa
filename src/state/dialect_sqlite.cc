#include <fmt/format.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sqlite3.h>

#include <thread>

#include "state/dialect.h"

namespace penstock::state {
namespace {

int result_of(const std::exception& error) {
    const auto* sqlite = dynamic_cast<const soci::sqlite3_soci_error*>(&error);
    return sqlite != nullptr ? sqlite->result() & 0xff : SQLITE_ERROR;
}

/// While several processes turn a new file to WAL, SQLite answers "busy" at once instead of waiting for `timeout`: two
/// that hold the read lock and want the exclusive one would wait for each other.
void enter_wal(soci::session& sql) {
    auto until = std::chrono::steady_clock::now() + busy_time;
    while (true) try {
            sql << "PRAGMA journal_mode = WAL";
            return;
        } catch (const std::exception& error) {
            if (result_of(error) != SQLITE_BUSY || std::chrono::steady_clock::now() >= until) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
}

class Sqlite : public Dialect {
  public:
    void connect(soci::session& session, const Place& place) const override {
        // The path comes last: SOCI 4.0 reads nothing after a quoted value.
        session.open(soci::sqlite3, fmt::format("timeout={} dbname=\"{}\"", busy_time.count(), place.file.string()));
        // With WAL readers and the writer do not wait for one another; a run's record need not survive a power cut of the
        // last instant, so NORMAL is enough.
        enter_wal(session);
        session << "PRAGMA synchronous = NORMAL";
    }

    std::string translated(std::string statement) const override {
        replace_each(statement, "penstock.", "");
        return statement;
    }

    std::string with_types(soci::session&, std::string_view migration) const override {
        std::string text(migration);
        replace_each(text, "{name}", "VARCHAR(255)");
        replace_each(text, "{text}", "TEXT");
        replace_each(text, "{double}", "DOUBLE");
        replace_each(text, "{options}", "");
        return text;
    }

    void begin_alone(soci::session& sql) const override { sql << "BEGIN IMMEDIATE"; }

    bool has_table(soci::session& sql, const std::string& name) const override {
        long long count = 0;
        sql << "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = :name", soci::use(name),
            soci::into(count);
        return count != 0;
    }

    void begin_schema(soci::session& sql) const override { begin_alone(sql); }
    void end_schema(soci::session& sql) const override { sql << "COMMIT"; }

    std::string make_durable(soci::session& sql) const override {
        sql << "PRAGMA synchronous = FULL";
        return {};
    }

    std::string version(soci::session&) const override {
        return std::string("SQLite ") + sqlite_api::sqlite3_libversion();
    }

    /// The library waits for other writers by itself, and a file does not go away.
    Fault fault(soci::session&, const std::exception&) const override { return Fault::final_one; }

    Error error_of(const Place& place, const std::exception& error) const override;
};

Error Sqlite::error_of(const Place& place, const std::exception& error) const {
    Error out{.kind = ErrorKind::internal, .code = "state_failed", .message = "", .where = place.shown};
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
            out.message =
                fmt::format("another process has been writing the state for more than {} s", busy_time.count());
            out.hint = "find it with `fuser` on that file";
            break;
        default: out.message = fmt::format("the state cannot be used: {}", message_of(error));
    }
    return out;
}

}  // namespace

const Dialect& sqlite_dialect() {
    static const Sqlite dialect;
    return dialect;
}

}  // namespace penstock::state
