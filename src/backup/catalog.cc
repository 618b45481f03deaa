#include "backup/catalog.h"

#include <fmt/format.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "backup/part.h"
#include "base/assert.h"
#include "base/failpoint.h"
#include "base/hex.h"
#include "io/object_store.h"

namespace penstock::backup {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr int format = 1;
constexpr std::string_view seal_mark = "\nhmac-sha256 ";
constexpr uint64_t most_entry_bytes = uint64_t{16} << 20;

std::string mac(const Key& key, std::string_view text) {
    std::string out(32, '\0');
    unsigned size = 0;
    PN_ASSERT(HMAC(EVP_sha256(), key.bytes().data(), static_cast<int>(key.bytes().size()),
                   reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                   reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr);
    return to_hex(out);
}

std::optional<TimePoint> time_of(const std::string& text) {
    std::tm parts{};
    int micros = 0;
    if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%d.%dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                    &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &micros) != 7)
        return std::nullopt;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    return TimePoint(std::chrono::seconds(timegm(&parts)) + std::chrono::microseconds(micros));
}

Ordered json_of(const BackupRecord& record, const Key& key) {
    Ordered archives = Ordered::array();
    for (const auto& archive : record.archives)
        archives.push_back({{"name", archive.name},
                            {"location", archive.location},
                            {"bytes", archive.bytes},
                            {"stored_bytes", archive.stored_bytes},
                            {"parts", archive.parts}});
    return {{"format", format},
            {"id", record.id},
            {"backup", record.name},
            {"kind", "full"},
            {"system_identifier", record.system_identifier},
            {"server_version", record.server_version},
            {"start",
             {{"timeline", record.start_timeline}, {"lsn", record.start_lsn}, {"at", iso_time(record.started_at)}}},
            {"end", {{"timeline", record.end_timeline}, {"lsn", record.end_lsn}, {"at", iso_time(record.ended_at)}}},
            {"files", record.files},
            {"archives", archives},
            {"settings", record.settings},
            {"key", {{"fingerprint", key.fingerprint()}, {"sealed", to_hex(key.seal(record.key.bytes(), record.id))}}}};
}

BackupRecord record_of(const Ordered& json, const Key& key) {
    BackupRecord record;
    record.id = json.at("id");
    record.name = json.at("backup");
    record.system_identifier = json.at("system_identifier");
    record.server_version = json.at("server_version");
    record.start_timeline = json.at("start").at("timeline");
    record.start_lsn = json.at("start").at("lsn");
    record.started_at = time_of(json.at("start").at("at")).value_or(TimePoint{});
    record.end_timeline = json.at("end").at("timeline");
    record.end_lsn = json.at("end").at("lsn");
    record.ended_at = time_of(json.at("end").at("at")).value_or(TimePoint{});
    record.files = json.at("files");
    record.settings = json.at("settings");
    for (const auto& archive : json.at("archives"))
        record.archives.push_back({.name = archive.at("name"),
                                   .location = archive.at("location"),
                                   .bytes = archive.at("bytes"),
                                   .stored_bytes = archive.at("stored_bytes"),
                                   .parts = archive.at("parts")});
    auto sealed = from_hex(json.at("key").at("sealed").get<std::string>());
    auto opened = sealed ? key.open(*sealed, record.id) : std::nullopt;
    PN_ASSERT(opened);  // the entry's own seal holds with this key
    record.key = Key(*opened);
    return record;
}

Error wrong_key(const std::string& url, const std::string& written, const std::string& ours) {
    return {.kind = ErrorKind::configuration,
            .code = "wrong_backup_key",
            .message = fmt::format(
                "{} was written with another key: its fingerprint is {}, that of the configuration's key {}", url,
                written, ours),
            .where = url,
            .hint = "set `store: {encrypt: …}` to the key that this backup was taken with"};
}

}  // namespace

uint64_t BackupRecord::bytes() const {
    uint64_t sum = 0;
    for (const auto& archive : archives) sum += archive.bytes;
    return sum;
}

uint64_t BackupRecord::stored_bytes() const {
    uint64_t sum = 0;
    for (const auto& archive : archives) sum += archive.stored_bytes;
    return sum;
}

const ArchiveRecord* BackupRecord::archive(const std::string& archive) const {
    auto found = std::ranges::find(archives, archive, &ArchiveRecord::name);
    return found == archives.end() ? nullptr : &*found;
}

std::string BackupRecord::part_name(const std::string& archive, uint64_t number) const {
    return fmt::format("parts/{}/{}/{:06}", id, archive, number);
}

std::string Catalog::url(const std::string& name) const { return store_->url(path(name)); }

Status Catalog::put(const BackupRecord& record) const {
    PN_FAILPOINT(backup_catalog_before);
    std::string text = json_of(record, key_).dump(1);
    text += fmt::format("{}{}\n", seal_mark, mac(key_, text));
    PN_TRY(bool made, store_->put_new(path(fmt::format("catalog/{}.json", record.id)), text));
    PN_ASSERT(made);  // an id has 48 random bits
    PN_FAILPOINT(backup_catalog_after);
    return {};
}

Result<BackupRecord> Catalog::load(const std::string& id) const {
    std::string name = fmt::format("catalog/{}.json", id);
    PN_TRY(auto text, store_->get(path(name), most_entry_bytes));
    auto damaged = [&](std::string_view what) { return fail(damaged_object(url(name), what)); };
    auto mark = text.rfind(seal_mark);
    if (mark == text.npos) return damaged("is damaged: it has no seal");
    auto body = std::string_view(text).substr(0, mark);
    auto seal = std::string_view(text).substr(mark + seal_mark.size());
    Ordered json = Ordered::parse(body, nullptr, false);
    if (seal != mac(key_, body) + "\n") {
        auto key = json.is_object() ? json.value("key", Ordered::object()) : Ordered();
        std::string written = key.is_object() && key.contains("fingerprint") && key["fingerprint"].is_string()
                                  ? key["fingerprint"].get<std::string>()
                                  : key_.fingerprint();
        if (written != key_.fingerprint()) return fail(wrong_key(url(name), written, key_.fingerprint()));
        return damaged("is damaged: its seal does not hold, so some bit of it is not what was written");
    }
    try {
        if (json.at("format") != format)
            return fail({.kind = ErrorKind::refused,
                         .code = "newer_backup",
                         .message = fmt::format("{} is of format {}, which this version does not know", url(name),
                                                json.at("format").dump()),
                         .hint = "restore it with the version of Penstock that took it, or a later one"});
        auto record = record_of(json, key_);
        if (record.id != id) return damaged(fmt::format("is the entry of {}, under another name", record.id));
        return record;
    } catch (const Ordered::exception& error) {
        return damaged(fmt::format("cannot be read: {}", error.what()));
    }
}

Result<std::vector<Catalog::Entry>> Catalog::list() const {
    PN_TRY(auto objects, store_->list(path("catalog/")));
    std::vector<Entry> entries;
    for (const auto& object : objects) {
        std::string id = object.name.substr(path("catalog/").size());
        if (!id.ends_with(".json")) continue;
        id.resize(id.size() - 5);
        auto record = load(id);
        if (!record && record.error().kind == ErrorKind::unavailable) return fail(std::move(record.error()));
        entries.push_back({std::move(id), std::move(record)});
    }
    return entries;
}

Result<BackupRecord> Catalog::find(const std::string& id) const {
    PN_TRY(auto entries, list());
    std::vector<Entry*> found;
    for (auto& entry : entries)
        if (entry.id.starts_with(id)) found.push_back(&entry);
    if (found.empty())
        return fail({.kind = ErrorKind::refused,
                     .code = "no_such_backup",
                     .message = id.empty() ? fmt::format("there is no backup in {}", url(""))
                                           : fmt::format("there is no backup {} in {}", id, url("")),
                     .hint = id.empty() ? "`penstock backup run` takes one"
                                        : "`penstock backup list` shows those that are there"});
    if (!id.empty() && found.size() > 1)
        return fail({.kind = ErrorKind::usage,
                     .code = "ambiguous_backup",
                     .message = fmt::format("{} backups have an id that begins with {}", found.size(), id),
                     .hint = "write more of it"});
    return std::move(found.back()->record);
}

}  // namespace penstock::backup
