#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>

#include "app/commands.h"
#include "app/export/airflow_file.h"
#include "app/export/exported_file.h"
#include "app/output.h"
#include "app/project.h"

namespace penstock::app {
namespace {

/// The configuration, and the same before its references were resolved.
struct Exported {
    config::Document document;
    config::Node written;
};

Result<Exported> read_for_export(const Session& session) {
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto written, config::load(session.options.file));
    return Exported{std::move(document), std::move(written)};
}

Error cannot_write(const std::filesystem::path& path, std::string_view why, std::string hint) {
    return {.kind = ErrorKind::usage,
            .code = "export_not_written",
            .message = fmt::format("{} {}", path.string(), why),
            .where = "--out",
            .hint = std::move(hint)};
}

/// All of them or, where one is there already, none.
Status write_files(const std::vector<ExportedFile>& files, const std::filesystem::path& folder, bool force) {
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (failed) return fail(cannot_write(folder, "cannot be made: " + failed.message(), "name another folder"));
    for (const auto& file : files)
        if (!force && std::filesystem::exists(std::filesystem::symlink_status(folder / file.name)))
            return fail(cannot_write(folder / file.name, "is there already",
                                     "name another folder, or replace it with --force"));
    for (const auto& file : files) {
        std::ofstream stream(folder / file.name, std::ios::binary | std::ios::trunc);
        stream << file.text << std::flush;
        if (!stream)
            return fail(
                cannot_write(folder / file.name, "cannot be written", "look at its permissions, and at the disk"));
        if (!file.name.ends_with(".sh")) continue;
        std::filesystem::permissions(folder / file.name, std::filesystem::perms::owner_exec,
                                     std::filesystem::perm_options::add, failed);
    }
    return {};
}

Result<int> hand_over(const Session& session, const std::vector<ExportedFile>& files) {
    const auto& options = session.options;
    if (!options.out.empty()) {
        PN_CHECK(write_files(files, options.out, options.force));
        std::string names;
        for (const auto& file : files) names += (std::filesystem::path(options.out) / file.name).string() + "\n";
        PN_CHECK(print(names));
        return 0;
    }
    if (files.size() == 1) {
        PN_CHECK(print(files.front().text));
        return 0;
    }
    std::vector<std::string> names;
    for (const auto& file : files) names.push_back(file.name);
    return fail({.kind = ErrorKind::usage,
                 .code = "export_where",
                 .message = fmt::format("these are {} files: {}", files.size(), fmt::join(names, ", ")),
                 .hint = "name a folder for them: --out DIR"});
}

}  // namespace

Result<int> command::export_airflow(const Session& session) {
    PN_TRY(auto exported, read_for_export(session));
    PN_TRY(auto shards, read_shards(exported.document, session.options.shards));
    PN_TRY(auto text, airflow_file(exported.document, exported.written, shards));
    return hand_over(session, {{.name = "penstock_dags.py", .text = std::move(text)}});
}

Result<int> command::export_kubernetes(const Session& session) {
    PN_TRY(auto exported, read_for_export(session));
    PN_CHECK(check_written_secrets(exported.written));
    PN_TRY(auto deployment, deployment_of(exported.document, exported.written, session.options));
    return hand_over(session, {kubernetes_file(deployment)});
}

Result<int> command::export_cloudrun(const Session& session) {
    PN_TRY(auto exported, read_for_export(session));
    PN_TRY(auto deployment, deployment_of(exported.document, exported.written, session.options));
    if (deployment.project.empty()) deployment.project = cloud_resources(exported.document, exported.written).project;
    PN_TRY(auto files, cloudrun_files(deployment));
    return hand_over(session, files);
}

Result<int> command::export_terraform(const Session& session) {
    PN_TRY(auto exported, read_for_export(session));
    PN_TRY(auto wants, wants_of(exported.document, exported.written, session.options));
    return hand_over(session, terraform_files(wants, cloud_resources(exported.document, exported.written)));
}

}  // namespace penstock::app
