#include "app/drill/sandbox_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace penstock::app {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) { return ::access(path.c_str(), X_OK) == 0; }

Result<fs::path> find_server_programs(int major, const fs::path& configured) {
    std::vector<fs::path> folders;
    if (!configured.empty()) folders.push_back(configured);
    else {
        folders = {fmt::format("/usr/lib/postgresql/{}/bin", major), fmt::format("/usr/pgsql-{}/bin", major)};
        const char* path = std::getenv("PATH");
        std::istringstream more(path == nullptr ? "" : path);
        for (std::string folder; std::getline(more, folder, ':');) folders.emplace_back(folder);
    }
    for (const auto& folder : folders)
        if (is_program(folder / "postgres")) return folder;
    std::string looked;
    for (const auto& folder : folders) looked += (looked.empty() ? "" : ", ") + folder.string();
    return fail(
        {.kind = ErrorKind::capacity,
         .code = "no_postgres_server",
         .message = fmt::format("there is no `postgres` of version {} here: {}", major, looked),
         .hint = fmt::format("install it (Debian: apt-get install postgresql-{}), or name its folder in `drill: "
                             "{{programs: …}}`",
                             major)});
}

std::vector<std::string> sandbox_command(const fs::path& programs, const fs::path& folder, int major,
                                         const std::vector<std::string>& libraries, bool readers) {
    std::vector<std::string> settings = {
        "data_directory=" + (folder / "data").string(),
        "hba_file=" + (folder / "hba.conf").string(),
        "ident_file=" + (folder / "ident.conf").string(),
        "external_pid_file=",
        "listen_addresses=",
        "unix_socket_directories=" + folder.string(),
        "unix_socket_permissions=0700",
        "unix_socket_group=",
        "ssl=off",
        "archive_mode=off",
        "archive_command=",
        "archive_library=",
        "primary_conninfo=",
        "primary_slot_name=",
        "recovery_min_apply_delay=0",
        // Without readers, a limit that is too low for the log ends recovery, where it would wait for somebody otherwise.
        readers ? "hot_standby=on" : "hot_standby=off",
        "max_logical_replication_workers=0",
        "autovacuum=off",
        fmt::format("shared_preload_libraries={}", fmt::join(libraries, ",")),
        "session_preload_libraries=",
        "local_preload_libraries=",
        "shared_buffers=128MB",
        "huge_pages=off",
        "logging_collector=off",
        "log_destination=stderr",
        "lc_messages=C",
        "cluster_name=penstock_drill",
    };
    if (major >= 17) settings.emplace_back("event_triggers=off");
    std::vector<std::string> command = {programs / "postgres", "-D", (folder / "data"), "-p", "5432"};
    for (auto& setting : settings) {
        command.emplace_back("-c");
        command.push_back(std::move(setting));
    }
    return command;
}

}  // namespace penstock::app
