#include "connect/postgres/replication/base_backup.h"

#include <fmt/format.h>
#include <poll.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "base/failpoint.h"
#include "base/secret.h"
#include "connect/postgres/replication/replication_error.h"
#include "connect/postgres/replication/slot.h"

namespace penstock::postgres {
namespace {

Error broken(const Session& session, std::string_view what) {
    return {.kind = ErrorKind::unavailable,
            .code = "base_backup_broken",
            .message = fmt::format("{} broke off a base backup: {}", session.place().text(), what),
            .where = "connections." + session.place().connection,
            .hint = "nothing of it will be used; run it again, and look into the server's log"};
}

/// Names become folders: a tablespace's is its oid.
bool is_archive_name(const std::string& name) {
    return name == "base" || (!name.empty() && name.find_first_not_of("0123456789") == name.npos);
}

/// One base backup on its connection.
class Receiver {
  public:
    Receiver(Session& session, BaseBackupTaker& taker, std::stop_token stop)
        : session_(session), taker_(taker), stop_(std::move(stop)) {}

    /// UPLOAD_MANIFEST: what the server has to know of the backup before.
    Status send_manifest(std::string_view manifest) {
        constexpr size_t most_bytes = 64 * 1024;
        if (PQsendQuery(session_.raw(), "UPLOAD_MANIFEST") == 0)
            return fail(broken(session_, PQerrorMessage(session_.raw())));
        PN_TRY(auto copying, next("its manifest"));
        if (PQresultStatus(copying.raw()) != PGRES_COPY_IN) return fail(broken(session_, "it takes no manifest"));
        while (!manifest.empty()) {
            auto some = manifest.substr(0, most_bytes);
            if (stop_.stop_requested()) PN_CHECK(readable());
            if (PQputCopyData(session_.raw(), some.data(), static_cast<int>(some.size())) != 1)
                return fail(broken(session_, redact(PQerrorMessage(session_.raw()))));
            manifest.remove_prefix(some.size());
        }
        if (PQputCopyEnd(session_.raw(), nullptr) != 1)
            return fail(broken(session_, redact(PQerrorMessage(session_.raw()))));
        PN_CHECK(next("its manifest"));
        while (PGresult* rest = PQgetResult(session_.raw())) {
            Rows done(rest);
            PN_CHECK(good(done, "its manifest"));
        }
        return {};
    }

    Result<BackupBound> run(const std::string& command) {
        if (PQsendQuery(session_.raw(), command.c_str()) == 0)
            return fail(broken(session_, PQerrorMessage(session_.raw())));
        PN_TRY(auto start_row, rows("its start"));
        PN_TRY(auto start, bound_of(start_row));
        PN_TRY(auto archives, rows("its tablespaces"));
        std::vector<BaseBackupArchive> announced;
        for (int row = 0; row < archives.count(); ++row)
            announced.push_back({.name = archives.is_null(row, 0) ? "base" : archives.text(row, 0),
                                 .location = archives.is_null(row, 1) ? "" : archives.text(row, 1),
                                 .bytes = archives.is_null(row, 2) ? -1 : archives.integer(row, 2) * 1024});
        for (const auto& archive : announced)
            if (!is_archive_name(archive.name)) return fail(broken(session_, "a tablespace has no number for a name"));
        PN_CHECK(taker_.begin(start, announced));
        PN_TRY(auto copying, next("its files"));
        if (PQresultStatus(copying.raw()) != PGRES_COPY_OUT) return fail(broken(session_, "no files came"));
        PN_CHECK(copy());
        PN_TRY(auto end_row, rows("its end"));
        PN_TRY(auto end, bound_of(end_row));
        while (PGresult* rest = PQgetResult(session_.raw())) {
            Rows done(rest);
            PN_CHECK(good(done, "its end"));
        }
        return end;
    }

  private:
    Result<BackupBound> bound_of(const Rows& rows) {
        if (rows.count() == 1)
            if (auto lsn = Lsn::parse(rows.text(0, 0)))
                return BackupBound{.at = *lsn, .timeline = static_cast<uint32_t>(rows.integer(0, 1))};
        return fail(broken(session_, "a position was expected"));
    }

    /// Waits for the server in short steps, so that a stop is seen at once.
    Status readable() {
        if (stop_.stop_requested()) {
            session_.cancel();
            return fail({.kind = ErrorKind::interrupted,
                         .code = "interrupted",
                         .message = "stopped in the middle of a base backup; nothing of it will be used"});
        }
        pollfd wait{.fd = PQsocket(session_.raw()), .events = POLLIN, .revents = 0};
        if (poll(&wait, 1, 100) > 0 && PQconsumeInput(session_.raw()) == 0)
            return fail(broken(session_, redact(PQerrorMessage(session_.raw()))));
        return {};
    }

    Status good(const Rows& rows, std::string_view what) {
        auto status = PQresultStatus(rows.raw());
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_OUT ||
            status == PGRES_COPY_IN)
            return {};
        auto field = [&](int code) {
            const char* value = PQresultErrorField(rows.raw(), code);
            return std::string(value == nullptr ? "" : value);
        };
        if (field(PG_DIAG_SQLSTATE).empty()) return fail(broken(session_, redact(PQerrorMessage(session_.raw()))));
        return fail(replication_error(server_error(
            session_.place(), field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_PRIMARY), field(PG_DIAG_MESSAGE_DETAIL),
            field(PG_DIAG_MESSAGE_HINT), fmt::format("BASE_BACKUP, sending {}", what))));
    }

    Result<Rows> next(std::string_view what) {
        while (PQisBusy(session_.raw()) != 0) PN_CHECK(readable());
        PGresult* result = PQgetResult(session_.raw());
        if (result == nullptr) return fail(broken(session_, fmt::format("{} did not come", what)));
        Rows rows(result);
        PN_CHECK(good(rows, what));
        return rows;
    }

    Result<Rows> rows(std::string_view what) {
        PN_TRY(auto rows, next(what));
        if (PQresultStatus(rows.raw()) != PGRES_TUPLES_OK)
            return fail(broken(session_, fmt::format("{} did not come", what)));
        return rows;
    }

    Status copy() {
        while (true) {
            char* raw = nullptr;
            int size = PQgetCopyData(session_.raw(), &raw, 1);
            std::unique_ptr<char, decltype(&PQfreemem)> message(raw, PQfreemem);
            if (size == 0) {
                PN_CHECK(readable());
                continue;
            }
            if (size == -1) return {};  // its result comes next
            if (size < -1) return fail(broken(session_, redact(PQerrorMessage(session_.raw()))));
            if (stop_.stop_requested()) PN_CHECK(readable());
            PN_CHECK(take({message.get(), static_cast<size_t>(size)}));
        }
    }

    Status take(std::string_view message) {
        std::string_view body = message.substr(1);
        switch (message.front()) {
            case 'n': {
                std::string name(body.substr(0, body.find('\0')));
                if (name.ends_with(".tar")) name.resize(name.size() - 4);
                if (!is_archive_name(name)) return fail(broken(session_, "a tablespace has no number for a name"));
                return taker_.begin_archive(name);
            }
            case 'm': return taker_.begin_manifest();
            case 'd': PN_FAILPOINT(backup_receive_after); return taker_.data(body);
            case 'p': return {};
            default: return fail(broken(session_, fmt::format("it sent a message of kind '{}'", message.front())));
        }
    }

    Session& session_;
    BaseBackupTaker& taker_;
    std::stop_token stop_;
};

}  // namespace

namespace {

/// The server notes which blocks change only where it is told to.
Status summarizes(Session& session) {
    bool able = session.server_version() >= 170000;
    if (able) {
        PN_TRY(auto rows, session.query("SHOW summarize_wal"));
        if (rows.text(0, 0) == "on") return {};
    }
    return fail({.kind = ErrorKind::refused,
                 .code = "no_incremental_backups",
                 .message = able ? fmt::format("{} does not note which blocks change: summarize_wal is off",
                                               session.place().text())
                                 : fmt::format("{} is PostgreSQL {}: incremental backups need 17 or later",
                                               session.place().text(), session.server_version() / 10000),
                 .where = "connections." + session.place().connection,
                 .hint = able ? "ALTER SYSTEM SET summarize_wal = on, reload, and take a full backup first"
                              : "take full backups; the log between them (`penstock backup wal`) restores any time"});
}

}  // namespace

Result<BackupBound> base_backup(Session& session, const BaseBackupRequest& request, BaseBackupTaker& taker,
                                std::stop_token stop) {
    if (session.server_version() < 150000)
        return fail({.kind = ErrorKind::refused,
                     .code = "server_too_old",
                     .message = fmt::format("{} is PostgreSQL {}: backups need 15 or later", session.place().text(),
                                            session.server_version() / 10000),
                     .where = "connections." + session.place().connection,
                     .hint = "use pg_basebackup of its own version, or upgrade the server"});
    PN_CHECK(create_physical_slot(session, request.slot, true));
    Receiver receiver(session, taker, std::move(stop));
    bool incremental = !request.manifest_before.empty();
    if (incremental) PN_CHECK(summarizes(session));
    if (incremental) PN_CHECK(receiver.send_manifest(request.manifest_before));
    // WAIT false: what the server's own archive does is of no concern to a backup that brings its log along.
    return receiver.run(fmt::format(
        "BASE_BACKUP (LABEL {}, CHECKPOINT 'fast', WAL true, WAIT false, TABLESPACE_MAP true, MANIFEST 'yes', "
        "MANIFEST_CHECKSUMS 'SHA256'{})",
        quote_literal(request.label), incremental ? ", INCREMENTAL true" : ""));
}

}  // namespace penstock::postgres
