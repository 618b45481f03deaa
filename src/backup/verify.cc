#include "backup/verify.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "backup/download.h"
#include "backup/manifest.h"
#include "backup/part.h"
#include "backup/tar.h"

namespace penstock::backup {
namespace {

using Json = nlohmann::json;

class Verification {
  public:
    Verification(const Catalog& catalog, const BackupRecord& record, unsigned threads, const std::stop_token& stop)
        : catalog_(catalog), record_(record), threads_(threads), stop_(stop) {}

    Result<VerifyReport> run() {
        // First what the others are judged by.
        for (const auto* name : {"files", "manifest"})
            if (const auto* archive = record_.archive(name)) PN_CHECK(read_text(*archive));
        for (const auto& archive : record_.archives)
            if (archive.name != "files" && archive.name != "manifest") PN_CHECK(read_tar(archive));
        PN_CHECK(judge());
        report_.files = found_.size();
        return std::move(report_);
    }

  private:
    /// Damage is noted, and reading goes on; what may be better another time ends it.
    Result<std::optional<std::string>> next(Download& download, const ArchiveRecord& archive, bool& whole) {
        if (stop_.stop_requested())
            return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while verifying"});
        auto part = download.next();
        if (part) {
            if (*part) ++report_.objects;
            return part;
        }
        const auto& error = part.error();
        if (error.code != "backup_damaged" && error.code != "no_such_object") return part;
        uint64_t number = download.asked() - 1;
        auto url = catalog_.url(record_.part_name(archive.name, number));
        report_.faults.push_back({.object = url,
                                  .what = error.code == "no_such_object" ? "is missing" : "is damaged",
                                  .files = files_in(archive.name, number * part_bytes, (number + 1) * part_bytes)});
        whole = false;
        return std::optional<std::string>("");
    }

    Status read_text(const ArchiveRecord& archive) {
        Download download(catalog_, record_, archive, threads_);
        bool whole = true;
        std::string text;
        while (true) {
            PN_TRY(auto part, next(download, archive, whole));
            if (!part) break;
            text += *part;
        }
        if (whole) (archive.name == "files" ? files_ : manifest_) = std::move(text);
        return {};
    }

    Status read_tar(const ArchiveRecord& archive) {
        Download download(catalog_, record_, archive, threads_);
        FileNotes notes(archive.name, prefix_of(archive.name), found_);
        TarReader tar(notes);
        bool whole = true;
        while (true) {
            PN_TRY(auto part, next(download, archive, whole));
            if (!part) break;
            // Behind a part that is not there nobody can tell where a file begins. Its seal has been checked all the same.
            if (whole) PN_CHECK(tar.add(*part));
            report_.bytes += part->size();
        }
        if (whole) return tar.finish();
        broken_.insert(prefix_of(archive.name));
        return {};
    }

    /// What has a piece of itself in [from, to) of an archive.
    std::vector<std::string> files_in(const std::string& archive, uint64_t from, uint64_t to) const {
        std::vector<std::string> paths;
        for (size_t at = 0; at < files_.size();) {
            size_t end = files_.find('\n', at);
            auto line =
                Json::parse(files_.begin() + static_cast<ptrdiff_t>(at), files_.begin() + static_cast<ptrdiff_t>(end));
            at = end + 1;
            uint64_t begin = line["offset"];
            if (line["archive"] == archive && begin < to && begin + line["size"].get<uint64_t>() > from)
                paths.push_back(line["path"]);
        }
        return paths;
    }

    bool is_broken(const std::string& path) const {
        std::string best;
        for (const auto& archive : record_.archives)
            if (auto prefix = prefix_of(archive.name); archive.name != "files" && archive.name != "manifest")
                if (path.starts_with(prefix) && prefix.size() > best.size()) best = prefix;
        return broken_.contains(best);
    }

    Status judge() {
        if (manifest_.empty()) return {};  // which is a fault already
        auto manifest = read_manifest(manifest_);
        if (!manifest) {
            report_.faults.push_back({.object = "", .what = manifest.error().message, .files = {"backup_manifest"}});
            return {};
        }
        for (auto& fault : compare(found_, *manifest))
            if (!is_broken(fault.path))
                report_.faults.push_back({.object = "", .what = fault.what, .files = {fault.path}});
        return {};
    }

    const Catalog& catalog_;
    const BackupRecord& record_;
    unsigned threads_;
    const std::stop_token& stop_;
    VerifyReport report_;
    std::string files_;
    std::string manifest_;
    std::vector<FoundFile> found_;
    std::set<std::string> broken_;  ///< prefixes of archives that could not be read to their end
};

}  // namespace

Result<VerifyReport> verify_backup(const Catalog& catalog, const BackupRecord& record, unsigned threads,
                                   const std::stop_token& stop) {
    return Verification(catalog, record, threads, stop).run();
}

}  // namespace penstock::backup
