#include "backup/take.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "backup/download.h"
#include "backup/manifest.h"
#include "backup/tar.h"
#include "backup/upload.h"
#include "backup/wal_start.h"
#include "base/log.h"
#include "connect/postgres/replication/base_backup.h"
#include "connect/postgres/replication/slot.h"
#include "connect/postgres/session.h"
#include "io/object_store.h"

namespace penstock::backup {
namespace {

/// The stream of a base backup on its way into the store; every file is looked at.
class Taking : public postgres::BaseBackupTaker {
  public:
    Taking(Upload& upload, BackupRecord& record) : upload_(upload), record_(record) {}

    Status begin(const postgres::BackupBound& start,
                 const std::vector<postgres::BaseBackupArchive>& archives) override {
        record_.start_lsn = start.at.text();
        record_.start_timeline = start.timeline;
        archives_ = archives;
        return {};
    }

    Status begin_archive(const std::string& name) override {
        PN_CHECK(finish_tar());
        std::string location;
        for (const auto& archive : archives_)
            if (archive.name == name) location = archive.location;
        notes_ = std::make_unique<FileNotes>(name, prefix_of(name), found_);
        tar_ = std::make_unique<TarReader>(*notes_);
        return upload_.begin(name, location);
    }

    Status begin_manifest() override {
        PN_CHECK(finish_tar());
        return upload_.begin("manifest");
    }

    Status data(std::string_view bytes) override {
        if (tar_ != nullptr) PN_CHECK(tar_->add(bytes));
        else manifest_ += bytes;
        return upload_.add(bytes);
    }

    /// The stream is over: is everything what the server says it is?
    Status finish() {
        PN_CHECK(finish_tar());
        PN_TRY(auto manifest, read_manifest(manifest_));
        auto faults = compare(found_, manifest);
        if (!faults.empty())
            return fail(
                {.kind = ErrorKind::check_failed,
                 .code = "backup_differs",
                 .message = fmt::format("{} files came otherwise than the server's manifest says: {} {}", faults.size(),
                                        faults.front().path, faults.front().what),
                 .where = faults.front().path,
                 .hint = "take the backup again; where it happens again, look at the server's disk and memory"});
        record_.files = found_.size();
        PN_CHECK(upload_.begin("files"));
        for (const auto& file : found_) {
            nlohmann::ordered_json line = {
                {"path", file.path}, {"archive", file.archive}, {"offset", file.offset}, {"size", file.state.size}};
            PN_CHECK(upload_.add(line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n"));
        }
        return {};
    }

  private:
    Status finish_tar() {
        if (tar_ == nullptr) return {};
        PN_CHECK(tar_->finish());
        tar_.reset();
        return {};
    }

    Upload& upload_;
    BackupRecord& record_;
    std::vector<postgres::BaseBackupArchive> archives_;
    std::vector<FoundFile> found_;
    std::unique_ptr<FileNotes> notes_;
    std::unique_ptr<TarReader> tar_;
    std::string manifest_;
};

/// What a server needs to recover and to be the same: recovery refuses lower limits than the log was written with, and tables may
/// need the libraries.
Status note_settings(postgres::Session& session, BackupRecord& record) {
    PN_TRY(
        auto rows,
        session.query(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE source IN ('configuration file', 'command line') "
            "AND name IN ('max_connections', 'max_worker_processes', 'max_wal_senders', "
            "'max_prepared_transactions', 'max_locks_per_transaction', 'max_replication_slots', 'wal_level', "
            "'shared_preload_libraries', 'track_commit_timestamp')"));
    for (int row = 0; row < rows.count(); ++row) record.settings[rows.text(row, 0)] = rows.text(row, 1);
    PN_TRY(auto checksums, session.query("SHOW data_checksums"));
    record.data_checksums = checksums.text(0, 0);
    return {};
}

Result<std::optional<BackupRecord>> newest(const Catalog& catalog) {
    auto found = catalog.find("");
    if (found) return std::optional(std::move(*found));
    if (found.error().code == "no_such_backup") return std::optional<BackupRecord>();
    return fail(std::move(found.error()));
}

Error no_parent(const BackupRecord& record, std::string why) {
    return {.kind = ErrorKind::refused,
            .code = "no_parent_backup",
            .message = std::move(why),
            .where = "backups." + record.name,
            .hint = "take a full backup: `penstock backup run " + record.name + "`"};
}

/// The server looks whether it has noted all that changed since the backup before began, and at nothing else: not whether that one
/// has log that this server never had, nor whether pages have had no checksums then.
Status check_parent(const BackupRecord& parent, const BackupRecord& record, const postgres::SystemIdentity& server,
                    const Catalog& catalog) {
    if (parent.system_identifier != record.system_identifier)
        return fail(no_parent(
            record, fmt::format("backup {} is of another server (system {})", parent.id, parent.system_identifier)));
    if (parent.server_version / 10000 != record.server_version / 10000)
        return fail(
            no_parent(record, fmt::format("backup {} was taken from PostgreSQL {}, and the server is {} now", parent.id,
                                          parent.server_version / 10000, record.server_version / 10000)));
    if (!parent.data_checksums.empty() && parent.data_checksums != record.data_checksums)
        return fail(no_parent(record, fmt::format("data checksums were {} in backup {}, and are {} now",
                                                  parent.data_checksums, parent.id, record.data_checksums)));
    if (static_cast<uint32_t>(server.timeline) != parent.end_timeline) {
        auto left = next_timeline(server, parent.end_timeline);
        if (!left || Lsn::parse(parent.end_lsn).value_or(Lsn()) > left->at)
            return fail(no_parent(
                record, fmt::format("backup {} ends on timeline {} at {}, which the server (timeline {}) never had",
                                    parent.id, parent.end_timeline, parent.end_lsn, server.timeline)));
    }
    PN_CHECK(catalog.parents(parent));
    return {};
}

Result<BackupRecord> take_into(Upload& upload, BackupRecord& record, const postgres::ConnectionOptions& server,
                               const Catalog& catalog, const std::optional<BackupRecord>& parent,
                               const std::stop_token& stop) {
    PN_TRY(auto session, postgres::Session::connect(server, "penstock backup " + record.name, stop,
                                                    postgres::Session::Channel::replication));
    record.server_version = session->server_version();
    PN_TRY(auto identity, postgres::identify_system(*session));
    record.system_identifier = identity.system;
    PN_CHECK(note_settings(*session, record));
    std::string manifest;
    if (parent) {
        PN_CHECK(check_parent(*parent, record, identity, catalog));
        PN_TRY(manifest, download_whole(catalog, *parent, "manifest"));
        record.parent = parent->id;
    }
    Taking taking(upload, record);
    PN_TRY(auto end,
           postgres::base_backup(
               *session,
               {.label = "penstock " + record.id, .slot = "penstock_backup_" + record.id, .manifest_before = manifest},
               taking, stop));
    record.end_lsn = end.at.text();
    record.end_timeline = end.timeline;
    PN_CHECK(taking.finish());
    PN_TRY(record.archives, upload.finish());
    record.ended_at = now();
    // One of them may have been removed meanwhile.
    PN_CHECK(catalog.parents(record));
    PN_CHECK(catalog.put(record));
    return record;
}

/// After an error: parts that no catalog entry names are only in the way.
void remove_parts(const Catalog& catalog, const std::string& id) {
    auto objects = catalog.store().list(catalog.path(fmt::format("parts/{}/", id)));
    Status removed = objects ? Status() : Status(fail(objects.error()));
    for (size_t i = 0; removed && i < objects->size(); ++i) removed = catalog.store().remove((*objects)[i].name);
    if (!removed) log::warning("leftovers of {} could not be removed: {}", id, removed.error().message);
}

}  // namespace

Result<BackupRecord> take_backup(const postgres::ConnectionOptions& server, const Catalog& catalog,
                                 const TakeRequest& request, std::stop_token stop) {
    BackupRecord record{.id = request.id, .name = request.name, .started_at = now()};
    std::optional<BackupRecord> parent;
    if (request.incremental) {
        PN_TRY(parent, newest(catalog));
        if (!parent)
            log::info("backup {}: there is none yet that an incremental one could be built on, so it is full",
                      request.name);
    }
    Result<BackupRecord> taken = [&]() -> Result<BackupRecord> {
        Upload upload(catalog, record, request.threads);
        return take_into(upload, record, server, catalog, parent, stop);
    }();
    // An entry whose putting was in doubt may be there: then the parts are needed.
    if (!taken && record.archives.empty()) remove_parts(catalog, record.id);
    return taken;
}

}  // namespace penstock::backup
