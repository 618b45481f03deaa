#include "backup/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "backup/part.h"
#include "backup/sealed_entry.h"
#include "base/assert.h"
#include "base/failpoint.h"
#include "io/object_store.h"

namespace penstock::backup {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr int format = 1;
constexpr size_t most_parents = 1000;
constexpr uint64_t most_entry_bytes = uint64_t{16} << 20;

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
            {"kind", record.kind()},
            {"parent", record.parent},
            {"system_identifier", record.system_identifier},
            {"server_version", record.server_version},
            {"start",
             {{"timeline", record.start_timeline}, {"lsn", record.start_lsn}, {"at", iso_time(record.started_at)}}},
            {"end", {{"timeline", record.end_timeline}, {"lsn", record.end_lsn}, {"at", iso_time(record.ended_at)}}},
            {"files", record.files},
            {"archives", archives},
            {"settings", record.settings},
            {"data_checksums", record.data_checksums},
            {"key", sealed_key(record.key, key, record.id)}};
}

BackupRecord record_of(const Ordered& json, const Key& key) {
    BackupRecord record;
    record.id = json.at("id");
    record.name = json.at("backup");
    record.parent = json.value("parent", "");
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
    record.data_checksums = json.value("data_checksums", "");
    for (const auto& archive : json.at("archives"))
        record.archives.push_back({.name = archive.at("name"),
                                   .location = archive.at("location"),
                                   .bytes = archive.at("bytes"),
                                   .stored_bytes = archive.at("stored_bytes"),
                                   .parts = archive.at("parts")});
    record.key = opened_key(json, key, record.id);
    return record;
}

/// Ids tell when backups began. One that cannot be read counts as newer than what began before it.
bool ends_before(const Catalog::Entry* left, const Catalog::Entry* right) {
    if (!left->record || !right->record) return left->id < right->id;
    return std::pair(left->record->ended_at, left->id) < std::pair(right->record->ended_at, right->id);
}

}  // namespace

std::string_view BackupRecord::kind() const { return parent.empty() ? "full" : "incremental"; }

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
    auto text = seal_entry(json_of(record, key_), key_);
    PN_TRY(bool made, store_->put_new(path(fmt::format("catalog/{}.json", record.id)), text));
    PN_ASSERT(made);  // an id has 48 random bits
    PN_FAILPOINT(backup_catalog_after);
    return {};
}

Result<BackupRecord> Catalog::load(const std::string& id) const {
    std::string name = fmt::format("catalog/{}.json", id);
    PN_TRY(auto text, store_->get(path(name), most_entry_bytes));
    PN_TRY(auto json, open_entry(text, key_, url(name)));
    auto damaged = [&](std::string_view what) { return fail(damaged_object(url(name), what)); };
    try {
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
    return std::move((*std::ranges::max_element(found, ends_before))->record);
}

Result<std::vector<BackupRecord>> Catalog::parents(const BackupRecord& record) const {
    std::vector<BackupRecord> chain;
    std::string child = record.id, wanted = record.parent;
    while (!wanted.empty()) {
        auto parent = load(wanted);
        if (!parent && parent.error().kind == ErrorKind::unavailable) return fail(std::move(parent.error()));
        if (!parent || chain.size() == most_parents)
            return fail({.kind = ErrorKind::check_failed,
                         .code = "backup_chain_broken",
                         .message = fmt::format("backup {} is built on {}, which {}", child, wanted,
                                                parent ? "is built on too many others" : "is missing or damaged"),
                         .where = url(fmt::format("catalog/{}.json", wanted)),
                         .hint = "restore another one with `--backup`, and take a full backup"});
        child = parent->id, wanted = parent->parent;
        chain.push_back(std::move(*parent));
    }
    std::ranges::reverse(chain);
    return chain;
}

}  // namespace penstock::backup
