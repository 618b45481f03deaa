#include "backup/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "backup/key.h"
#include "base/digest.h"
#include "base/hex.h"

namespace penstock::backup {
namespace {

using Json = nlohmann::json;

Error bad_manifest(std::string_view what) {
    return {.kind = ErrorKind::check_failed,
            .code = "bad_manifest",
            .message = fmt::format("the server's manifest of the backup {}", what),
            .hint = "take a new backup; where it happens again, report it with the server's version"};
}

/// The manifest's last line is a checksum of all before it.
bool sums_up(std::string_view text) {
    constexpr std::string_view last = "\"Manifest-Checksum\": \"";
    auto at = text.rfind(last);
    if (at == text.npos) at = text.rfind("\"Manifest-Checksum\":");
    if (at == text.npos) return false;
    auto quote = text.find('"', text.find(':', at));
    return quote != text.npos && text.substr(quote + 1, 64) == sha256_hex(text.substr(0, at));
}

/// Entries are many: each is taken and forgotten as it is parsed.
class Entries {
  public:
    explicit Entries(Manifest& into) : into_(into) {}

    bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
        if (event != Json::parse_event_t::object_end || depth != 2 || !parsed.contains("Size")) return true;
        std::string path = parsed.value("Path", "");
        if (parsed.contains("Encoded-Path")) path = from_hex(parsed["Encoded-Path"].get<std::string>()).value_or("");
        if (path.empty() || parsed.value("Checksum-Algorithm", "") != "SHA256") whole_ = false;
        into_.files[path] = {.size = parsed["Size"].get<uint64_t>(), .sha256 = parsed.value("Checksum", "")};
        return false;  // leave it out of the document
    }
    bool whole() const { return whole_; }

  private:
    Manifest& into_;
    bool whole_ = true;
};

bool is_log(std::string_view path) { return path.starts_with("pg_wal/"); }

}  // namespace

Result<Manifest> read_manifest(std::string_view text) {
    if (!sums_up(text)) return fail(bad_manifest("does not have the checksum that it says"));
    Manifest manifest;
    Entries entries(manifest);
    try {
        [[maybe_unused]] Json rest = Json::parse(text, std::ref(entries));
    } catch (const Json::exception& error) {
        return fail(bad_manifest(fmt::format("cannot be read: {}", error.what())));
    }
    if (!entries.whole() || manifest.files.empty())
        return fail(bad_manifest("has files without a checksum by SHA-256"));
    return manifest;
}

std::string prefix_of(const std::string& archive) {
    return archive == "base" ? "" : fmt::format("pg_tblspc/{}/", archive);
}

Status FileNotes::begin(const TarEntry& entry) {
    entry_ = entry;
    if (entry.kind == TarEntry::Kind::file) digest_ = std::make_unique<Sha256>();
    return next_ == nullptr ? Status() : next_->begin(entry);
}

Status FileNotes::content(std::string_view bytes) {
    digest_->add(bytes);
    return next_ == nullptr ? Status() : next_->content(bytes);
}

Status FileNotes::end() {
    if (entry_.kind == TarEntry::Kind::file)
        into_.push_back({.path = prefix_ + entry_.path,
                         .archive = archive_,
                         .offset = entry_.offset,
                         .state = {.size = entry_.size, .sha256 = digest_->hex()}});
    return next_ == nullptr ? Status() : next_->end();
}

std::vector<FileFault> compare(const std::vector<FoundFile>& found, const Manifest& manifest) {
    std::vector<FileFault> faults;
    std::unordered_map<std::string_view, const FoundFile*> by_path;
    for (const auto& file : found) {
        by_path[file.path] = &file;
        auto said = manifest.files.find(file.path);
        if (said == manifest.files.end()) {
            if (!is_log(file.path)) faults.push_back({file.path, "is in no manifest of the server"});
        } else if (said->second.size != file.state.size) {
            faults.push_back({file.path, fmt::format("has {} bytes, and the server's manifest says {}", file.state.size,
                                                     said->second.size)});
        } else if (said->second.sha256 != file.state.sha256) {
            faults.push_back({file.path, "has another content than the server's manifest says"});
        }
    }
    for (const auto& [path, state] : manifest.files)
        if (!by_path.contains(path)) faults.push_back({path, "is missing"});
    std::ranges::sort(faults, {}, &FileFault::path);
    return faults;
}

}  // namespace penstock::backup
