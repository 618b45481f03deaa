#include "app/backup_place.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "app/components.h"
#include "app/drill/compared_pipelines.h"
#include "app/project.h"
#include "base/clock.h"
#include "config/diagnostics.h"
#include "connect/postgres/component.h"

namespace penstock::app {
namespace {

Error mistake(const config::Backup& backup, std::string_view option, const config::Text& at, std::string code,
              std::string_view message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = fmt::format("backups.{}.{}: {}", backup.name, option, message),
            .where = at.place.text(),
            .hint = std::move(hint)};
}

/// Below the store's URL, ending with a slash; "" where the text is no such path.
std::string folder_of(std::string text) {
    while (text.ends_with('/')) text.pop_back();
    std::filesystem::path path(text);
    bool good = !text.empty() && path.is_relative() && std::ranges::none_of(path, [](const auto& part) {
        return part == ".." || part == "." || part.empty();
    });
    return good ? text + "/" : "";
}

void check_place(const config::Document& document, const config::Backup& backup, config::Diagnostics& diagnostics) {
    const auto& store = backup.store;
    if (folder_of(store.path.value).empty())
        diagnostics.add(mistake(backup, "store.path", store.path, "bad_backup_path",
                                fmt::format("'{}' is no folder below the connection's URL", store.path.value),
                                "write one like backups/shop"));
    for (const auto& other : document.backups) {
        if (&other == &backup) return;
        if (other.store.connection.value == store.connection.value &&
            folder_of(other.store.path.value) == folder_of(store.path.value))
            diagnostics.add(mistake(backup, "store.path", store.path, "backup_path_taken",
                                    fmt::format("backup '{}' is there already", other.name),
                                    "give each a path of its own"));
    }
}

}  // namespace

Status check_backups(const config::Document& document) {
    config::Diagnostics diagnostics;
    for (const auto& backup : document.backups) {
        const auto* server = document.connection(backup.connection.value);
        const auto* store = document.connection(backup.store.connection.value);
        if (find_component(server->type) != &postgres::component())
            diagnostics.add(mistake(
                backup, "connection", backup.connection, "not_a_server_to_back_up",
                fmt::format("connection '{}' is of type {}, which cannot be backed up", server->name, server->type),
                fmt::format("name a connection of type {}", postgres::component().type)));
        if (find_component(store->type)->open_store == nullptr)
            diagnostics.add(
                mistake(backup, "store.connection", backup.store.connection, "not_a_store",
                        fmt::format("connection '{}' is of type {}, which holds no objects", store->name, store->type),
                        "name a connection of type files"));
        check_place(document, backup, diagnostics);
        auto key = backup::Key::parse(backup.store.encrypt.value, backup.store.encrypt.place.text());
        if (!key) {
            key.error().message = fmt::format("backups.{}.store.encrypt: {}", backup.name, key.error().message);
            diagnostics.add(std::move(key.error()));
        }
        check_compared(document, backup, diagnostics);
    }
    return diagnostics.status();
}

Result<const config::Backup*> find_backup(const config::Document& document, const std::string& name) {
    if (const auto* found = document.backup(name)) return found;
    return fail(config::no_such_backup(document, name));
}

Result<backup::Catalog> open_catalog(const config::Document& document, const config::Backup& backup) {
    const auto* connection = document.connection(backup.store.connection.value);
    PN_TRY(auto key, backup::Key::parse(backup.store.encrypt.value, backup.store.encrypt.place.text()));
    PN_TRY(auto store, find_component(connection->type)->open_store(connection->options));
    return backup::Catalog(std::move(store), folder_of(backup.store.path.value), std::move(key));
}

Result<std::unique_ptr<BackupPlace>> open_backup(const Session& session) {
    PN_TRY(auto document, read_project(session));
    const auto& name = session.options.names.front();
    PN_TRY(const auto* found, find_backup(document, name));
    PN_TRY(auto catalog, open_catalog(document, *found));
    auto place = std::make_unique<BackupPlace>(BackupPlace{std::move(document), nullptr, std::move(catalog)});
    place->backup = place->document.backup(name);
    return place;
}

unsigned backup_threads() { return std::clamp(std::thread::hardware_concurrency(), 2U, 8U); }

std::string server_version_text(int version) { return fmt::format("{}.{}", version / 10000, version % 10000); }

nlohmann::ordered_json backup_json(const backup::BackupRecord& record) {
    return {{"id", record.id},
            {"kind", record.kind()},
            {"parent", record.parent.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(record.parent)},
            {"system_identifier", record.system_identifier},
            {"server_version", server_version_text(record.server_version)},
            {"timeline", record.end_timeline},
            {"started_at", iso_time(record.started_at)},
            {"ended_at", iso_time(record.ended_at)},
            {"start_lsn", record.start_lsn},
            {"end_lsn", record.end_lsn},
            {"files", record.files},
            {"bytes", record.bytes()},
            {"stored_bytes", record.stored_bytes()}};
}

Result<postgres::ConnectionOptions> backup_server(const config::Document& document, const config::Backup& backup) {
    const auto* connection = document.connection(backup.connection.value);
    return postgres::parse_connection(connection->options, connection->name);
}

}  // namespace penstock::app
