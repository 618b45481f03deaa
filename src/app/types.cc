#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/pipeline.h"
#include "app/project.h"
#include "app/terminal.h"
#include "app/text_table.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

std::string table_text(const Pipeline& pipeline, const flow::TableInfo& info, const std::string& target) {
    TextTable table({{.heading = "  COLUMN"},
                     {.heading = "SOURCE"},
                     {.heading = "TARGET"},
                     {.heading = "NULL"},
                     {.heading = "NOT HELD"}});
    for (const auto& field : info.schema.fields)
        table.add({"  " + field.name, field.source_type, pipeline.target_type(field), field.nullable ? "yes" : "no",
                   field.note});
    std::string text = fmt::format("{} -> {}\n{}", paint_stdout(Colour::bold, info.name), target, table.text());
    for (const auto& note : info.notes) text += "  " + note + "\n";
    return text + "\n";
}

void add_json(Json& columns, const Pipeline& pipeline, const flow::TableInfo& info, const std::string& target) {
    for (const auto& field : info.schema.fields)
        columns.push_back({{"pipeline", pipeline.name()},
                           {"table", info.name},
                           {"target", target},
                           {"column", field.name},
                           {"source_type", field.source_type},
                           {"target_type", pipeline.target_type(field)},
                           {"nullable", field.nullable},
                           {"lossy", !field.note.empty()},
                           {"note", field.note.empty() ? Json(nullptr) : Json(field.note)}});
}

}  // namespace

/// Asks the source only: the target need not be there yet.
Result<int> command::types(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, session.options.names));
    Json columns = Json::array();
    std::string text;
    for (const auto& pipeline : pipelines) {
        if (pipeline.is_work() && session.options.names.empty()) continue;
        PN_TRY(auto source, pipeline.build_source());
        PN_TRY(auto infos, source->discover(session.stop));
        for (const auto& info : infos) {
            PN_TRY(auto target, pipeline.target_for(info));
            add_json(columns, pipeline, info, target.name);
            text += table_text(pipeline, info, target.name);
        }
    }
    PN_CHECK(session.json() ? print_json({{"columns", columns}}) : print(text));
    return 0;
}

}  // namespace penstock::app
