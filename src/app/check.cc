#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/project.h"

namespace penstock::app::command {
namespace {

std::string counted(size_t count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

Result<int> check(const Session& session) {
    PN_TRY(auto document, read_project(session));
    if (session.json()) {
        nlohmann::ordered_json names = nlohmann::ordered_json::array();
        for (const auto& pipeline : document.pipelines) names.push_back(pipeline.name);
        nlohmann::ordered_json backups = nlohmann::ordered_json::array();
        for (const auto& backup : document.backups) backups.push_back(backup.name);
        PN_CHECK(print_json({{"file", document.file.string()},
                             {"valid", true},
                             {"connections", document.connections.size()},
                             {"pipelines", names},
                             {"backups", backups}}));
        return 0;
    }
    PN_CHECK(print(fmt::format("{} is valid: {}, {}{}\n", document.file.string(),
                               counted(document.connections.size(), "connection"),
                               counted(document.pipelines.size(), "pipeline"),
                               document.backups.empty() ? "" : ", " + counted(document.backups.size(), "backup"))));
    return 0;
}

}  // namespace penstock::app::command
