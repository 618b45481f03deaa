#include "backup/restore.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "backup/download.h"
#include "backup/incremental_file.h"
#include "backup/manifest.h"
#include "backup/recovery_settings.h"
#include "base/failpoint.h"
#include "base/humane.h"
#include "io/file_error.h"

namespace penstock::backup {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// What a restore was putting here: the backup, and up to where; "" where none was.
std::string marked_with(const fs::path& folder) {
    std::ifstream in(folder / restore_mark);
    Json mark = in ? Json::parse(in, nullptr, false) : Json();
    return mark.is_object() ? mark.value("backup", "?") + mark.value("until", "") : "";
}

/// The settings of the same target are the same, whatever was stored meanwhile.
std::string until(const RestorePlan& plan) {
    if (!plan.recovery) return "";
    const auto& target = plan.recovery->target;
    return fmt::format(" {} {} {}", plan.recovery->timeline, static_cast<int>(target.kind), target.text);
}

Error not_empty(const fs::path& folder) {
    return {.kind = ErrorKind::conflict,
            .code = "folder_not_empty",
            .message = fmt::format("{} is not empty", folder.string()),
            .where = folder.string(),
            .hint = "a restore writes over nothing: name a new folder, or empty this one yourself"};
}

/// An error where a folder holds what is not of a restore that was killed.
Status check_folder(const fs::path& folder) {
    std::error_code failed;
    auto status = fs::status(folder, failed);
    if (status.type() == fs::file_type::not_found) return {};
    if (failed) return fail(io::file_error("look at", folder, failed.value()));
    if (status.type() != fs::file_type::directory) return fail(io::file_error("restore into", folder, ENOTDIR));
    bool empty = fs::is_empty(folder, failed);
    if (failed) return fail(io::file_error("look at", folder, failed.value()));
    bool unfinished = !marked_with(folder).empty() && !fs::exists(folder / "global/pg_control", failed);
    return empty || unfinished ? Status() : Status(fail(not_empty(folder)));
}

/// The first folder of the path that is there.
fs::path nearest(fs::path path) {
    std::error_code failed;
    while (!fs::exists(path, failed) && path != path.root_path()) path = path.parent_path();
    return path;
}

fs::path tablespaces_of(const fs::path& into) { return into.string() + ".tablespaces"; }

Status empty_folder(const fs::path& folder) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed))
        // Last, so that a kill in here leaves what is known to be unfinished.
        if (entry.path().filename() != restore_mark)
            if (fs::remove_all(entry.path(), failed); failed)
                return fail(io::file_error("remove", entry.path(), failed.value()));
    if (failed) return fail(io::file_error("list", folder, failed.value()));
    return {};
}

/// One restore on its way.
class Restoring {
  public:
    Restoring(const Catalog& catalog, const RestorePlan& plan, unsigned threads, const std::stop_token& stop)
        : catalog_(catalog), plan_(plan), threads_(threads), stop_(stop) {}

    Status run() {
        PN_CHECK(begin_folder(plan_.into));
        if (!plan_.tablespaces.empty()) PN_CHECK(begin_folder(tablespaces_of(plan_.into)));
        for (const auto& parent : plan_.parents) PN_CHECK(add(parent));
        PN_CHECK(add(plan_.record));
        PN_CHECK(settle());
        return appear();
    }

  private:
    Status begin_folder(const fs::path& folder) {
        PN_CHECK(make_private_folder(folder, plan_.owner));
        PN_CHECK(empty_folder(folder));
        return write_small_file(folder / restore_mark,
                                Json{{"backup", plan_.record.id}, {"until", until(plan_)}}.dump() + "\n", plan_.owner);
    }

    /// A full backup, or the changes of an incremental one.
    Status add(const BackupRecord& record) {
        PN_TRY(auto manifest_text, download_whole(catalog_, record, "manifest"));
        PN_TRY(auto manifest, read_manifest(manifest_text));
        auto before = std::exchange(found_, {});
        folders_.clear();
        for (const auto& archive : record.archives)
            if (archive.name != "manifest" && archive.name != "files") PN_CHECK(unpack(record, archive));
        auto faults = compare(found_, manifest);
        if (!faults.empty())
            return fail({.kind = ErrorKind::check_failed,
                         .code = "backup_differs",
                         .message = fmt::format("{} files of {} are not what the server's manifest says: {} {}",
                                                faults.size(), record.id, faults.front().path, faults.front().what),
                         .where = faults.front().path,
                         .hint = "restore another backup; `penstock backup verify` tells of all"});
        return record.parent.empty() ? Status() : remove_gone(before);
    }

    /// What the backup before had and the server has no more: files, and the folders of databases.
    Status remove_gone(const std::vector<FoundFile>& before) {
        std::set<std::string> there;
        for (const auto& file : found_) there.insert(path_in_server(file.path));
        std::error_code failed;
        for (const auto& file : before) {
            auto path = path_in_server(file.path);
            if (there.contains(path)) continue;
            auto gone = place_of(path);
            if (!gone.empty()) fs::remove(gone, failed);
            if (failed) return fail(io::file_error("remove", gone, failed.value()));
            auto folder = gone.parent_path();
            if (!gone.empty() && !folders_.contains(folder) && fs::is_empty(folder, failed)) fs::remove(folder, failed);
        }
        return {};
    }

    /// Where an archive's files are restored; "" of a tablespace that is no more.
    fs::path root_of(const std::string& archive) const {
        if (archive == "base") return plan_.into;
        auto found = std::ranges::find(plan_.tablespaces, archive, &RestoredTablespace::oid);
        return found == plan_.tablespaces.end() ? fs::path() : found->into;
    }

    /// Where a file of the server is restored; "" of one in a tablespace that is no more.
    fs::path place_of(const std::string& path) const {
        constexpr std::string_view tablespaces = "pg_tblspc/";
        if (!path.starts_with(tablespaces)) return plan_.into / path;
        auto end = path.find('/', tablespaces.size());
        auto root = root_of(path.substr(tablespaces.size(), end - tablespaces.size()));
        return root.empty() || end == path.npos ? fs::path() : root / path.substr(end + 1);
    }

    Status unpack(const BackupRecord& record, const ArchiveRecord& archive) {
        bool base = archive.name == "base";
        // One that was dropped since is read all the same, for its files are in the manifest.
        fs::path root = root_of(archive.name);
        std::map<std::string, std::string> replaced;
        if (base && !plan_.tablespaces.empty()) replaced["tablespace_map"] = tablespace_map(plan_.tablespaces);
        if (!base && !root.empty()) PN_CHECK(make_private_folder(root, plan_.owner));
        FolderWriter writer(root, plan_.owner, std::move(replaced), !record.parent.empty());
        FileNotes notes(archive.name, prefix_of(archive.name), found_, root.empty() ? nullptr : &writer);
        TarReader tar(notes);
        Download download(catalog_, record, archive, threads_);
        while (true) {
            if (stop_.stop_requested())
                return fail({.kind = ErrorKind::interrupted,
                             .code = "interrupted",
                             .message = fmt::format("stopped while restoring into {}", plan_.into.string()),
                             .hint = "the same command begins again; what is there cannot be started"});
            PN_TRY(auto part, download.next());
            if (part) {
                PN_CHECK(tar.add(*part));
                continue;
            }
            folders_.merge(writer.folders());
            return tar.finish();
        }
    }

    /// PostgreSQL does not start what says that it has changes only.
    Status make_label_full() {
        std::istringstream label(read_small_file(plan_.into / "backup_label"));
        std::string line, kept;
        while (std::getline(label, line))
            if (!line.starts_with("INCREMENTAL FROM ")) kept += line + "\n";
        return write_small_file(plan_.into / "backup_label", kept, plan_.owner);
    }

    /// Settings, links to tablespaces, and no signal of a standby.
    Status settle() {
        const auto& into = plan_.into;
        if (!plan_.parents.empty()) PN_CHECK(make_label_full());
        std::string kept = read_small_file(into / "postgresql.auto.conf");
        PN_CHECK(write_small_file(into / "postgresql.auto.conf",
                                  kept + recovery_settings(plan_.record, plan_.recovery, plan_.restore_command),
                                  plan_.owner));
        PN_CHECK(write_small_file(into / "recovery.signal", "", plan_.owner));
        std::error_code failed;
        fs::remove(into / "standby.signal", failed);
        if (failed) return fail(io::file_error("remove", into / "standby.signal", failed.value()));
        auto stand_in = [&](const char* name, const std::string& text) {
            return fs::exists(into / name, failed) ? Status() : write_small_file(into / name, text, plan_.owner);
        };
        PN_CHECK(stand_in("postgresql.conf", stand_in_settings(plan_.record.settings)));
        PN_CHECK(stand_in("pg_hba.conf",
                          "# Written by `penstock backup restore`: the owner of this folder, and nobody else.\n"
                          "local all all peer\n"));
        PN_CHECK(stand_in("pg_ident.conf", ""));
        for (const auto& tablespace : plan_.tablespaces) {
            auto link = into / "pg_tblspc" / tablespace.oid;
            fs::create_symlink(tablespace.into, link, failed);
            if (failed) return fail(io::file_error("make link", link, failed.value()));
            if (::geteuid() == 0 && ::lchown(link.c_str(), plan_.owner.user, plan_.owner.group) != 0)
                return fail(io::file_error("give away", link, errno));
        }
        return {};
    }

    /// Everything is on disk before the folder becomes a server's.
    Status appear() {
        PN_CHECK(flush_file_system(plan_.into));
        if (!plan_.tablespaces.empty()) PN_CHECK(flush_file_system(tablespaces_of(plan_.into)));
        PN_FAILPOINT(restore_control_before);
        std::error_code failed;
        auto control = plan_.into / "global/pg_control";
        fs::rename(plan_.into / held_control_file, control, failed);
        if (failed) return fail(io::file_error("rename into place", control, failed.value()));
        return {};
    }

    const Catalog& catalog_;
    const RestorePlan& plan_;
    unsigned threads_;
    const std::stop_token& stop_;
    std::vector<FoundFile> found_;  ///< of the backup that was added last
    std::set<fs::path> folders_;    ///< likewise
};

Status remove_marks(const RestorePlan& plan) {
    for (const auto& folder : {plan.into, tablespaces_of(plan.into)}) {
        std::error_code failed;
        fs::remove(folder / restore_mark, failed);
        if (failed && failed != std::errc::not_a_directory)
            return fail(io::file_error("remove", folder / restore_mark, failed.value()));
    }
    return flush_file_system(plan.into);
}

}  // namespace

Result<RestorePlan> plan_restore(RecoveryPlan wanted, const fs::path& into) {
    RestorePlan plan{.record = std::move(wanted.backup), .into = fs::absolute(into).lexically_normal()};
    plan.parents = std::move(wanted.parents);
    plan.recovery = std::move(wanted.recovery);
    // Changes are written into what is there: the largest of the chain has to have room, and what was added since.
    for (const auto& parent : plan.parents) plan.bytes = std::max(plan.bytes, parent.bytes());
    if (!plan.into.has_filename()) plan.into = plan.into.parent_path();
    std::error_code failed;
    plan.done =
        marked_with(plan.into) == plan.record.id + until(plan) && fs::exists(plan.into / "global/pg_control", failed);
    if (!plan.done) PN_CHECK(check_folder(plan.into));
    uint64_t own = 0;
    for (const auto& archive : plan.record.archives)
        if (archive.name != "manifest" && archive.name != "files") {
            own += archive.bytes;
            if (archive.name != "base")
                plan.tablespaces.push_back({archive.name, archive.location, tablespaces_of(plan.into) / archive.name});
        }
    plan.bytes = std::max(plan.bytes, own);
    if (!plan.tablespaces.empty() && !plan.done) PN_CHECK(check_folder(tablespaces_of(plan.into)));
    auto there = nearest(plan.into);
    struct stat found{};
    if (::stat(there.c_str(), &found) != 0) return fail(io::file_error("look at", there, errno));
    plan.owner = {.user = found.st_uid, .group = found.st_gid};
    plan.free_bytes = fs::space(there, failed).available;
    if (failed) return fail(io::file_error("ask for the space of", there, failed.value()));
    bool begun = !marked_with(plan.into).empty();  // then some of the space is what will be removed first
    if (plan.free_bytes < plan.bytes && !begun)
        return fail({.kind = ErrorKind::capacity,
                     .code = "not_enough_space",
                     .message = fmt::format("{} has {} free, and the backup needs {}", there.string(),
                                            humane_bytes(plan.free_bytes), humane_bytes(plan.bytes)),
                     .where = plan.into.string(),
                     .hint = "restore to a larger disk"});
    return plan;
}

Status restore(const Catalog& catalog, const RestorePlan& plan, unsigned threads, const std::stop_token& stop) {
    if (!plan.done) PN_CHECK(Restoring(catalog, plan, threads, stop).run());
    return remove_marks(plan);
}

}  // namespace penstock::backup
