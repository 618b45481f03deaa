#include "connect/duckdb/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>

#include "base/humane.h"
#include "connect/duckdb/options.h"
#include "engine/database.h"

namespace penstock::duckdb {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

constexpr uint64_t little_room = uint64_t{1} << 30;

/// The nearest folder that exists, where the file or its folders would be made.
std::filesystem::path existing_folder(std::filesystem::path file) {
    std::error_code ignored;
    do {
        auto parent = std::filesystem::absolute(file, ignored).parent_path();
        if (parent == file) break;
        file = parent;
    } while (!std::filesystem::is_directory(file, ignored));
    return file;
}

Finding absent(const std::filesystem::path& file) {
    auto folder = existing_folder(file);
    if (::access(folder.c_str(), W_OK) == 0)
        return {.what = "file",
                .detail = fmt::format("{} does not exist yet; the first run creates it", file.string())};
    return {.severity = Severity::problem,
            .what = "file",
            .detail = fmt::format("{} does not exist and {} cannot be written", file.string(), folder.string()),
            .fix = "give this user the right to write there, or name another path"};
}

Finding room(const std::filesystem::path& file) {
    std::error_code failed;
    auto space = std::filesystem::space(existing_folder(file), failed);
    if (failed)
        return {
            .severity = Severity::warning, .what = "disk", .detail = "free space is not known: " + failed.message()};
    Finding finding{.what = "disk", .detail = humane_bytes(space.available) + " free"};
    if (space.available < little_room)
        finding.severity = Severity::warning, finding.fix = "free some space: a load needs the size of its tables";
    return finding;
}

Result<Finding> version(const std::filesystem::path& file) {
    PN_TRY(auto database, engine::Database::open(file, {.read_only = true}));
    PN_TRY(auto connection, database.connect());
    PN_TRY(auto rows,
           connection.query(
               "SELECT coalesce(tags['storage_version']::VARCHAR, 'unknown'), version() FROM duckdb_databases() "
               "WHERE database_name = current_database()"));
    std::error_code ignored;
    return Finding{.what = "file",
                   .detail = fmt::format("{}, {}, storage {}, read by DuckDB {}", file.string(),
                                         humane_bytes(std::filesystem::file_size(file, ignored)), rows.text(0, 0),
                                         rows.text(0, 1))};
}

}  // namespace

Result<std::vector<Finding>> doctor(const config::Node& connection, const std::filesystem::path&, std::stop_token) {
    PN_TRY(auto options, connection_spec().parse(connection));
    const auto& file = options.path.value;
    std::vector<Finding> findings;
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
        findings.push_back(absent(file));
    } else if (auto opened = version(file)) {
        findings.push_back(std::move(*opened));
        if (::access(file.c_str(), W_OK) != 0)
            findings.push_back({.severity = Severity::problem,
                                .what = "file",
                                .detail = "it cannot be written by this user",
                                .fix = "give this user the right to write the file and its folder"});
    } else {
        findings.push_back({.severity = Severity::problem,
                            .what = "file",
                            .detail = opened.error().message,
                            .fix = opened.error().hint});
    }
    findings.push_back(room(file));
    return findings;
}

}  // namespace penstock::duckdb
