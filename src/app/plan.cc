#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "app/as_of.h"
#include "app/commands.h"
#include "app/output.h"
#include "app/pipeline.h"
#include "app/plan_price.h"
#include "app/project.h"
#include "app/terminal.h"
#include "app/work/work.h"
#include "base/humane.h"
#include "base/secret.h"
#include "flow/attempt.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Planned = std::vector<flow::PlannedTable>;

bool reads_from_checkpoint(const flow::PlannedTable& table) {
    return table.plan.checkpoint && !table.target.full_refresh && table.target.mode != flow::Mode::replace &&
           !table.plan.reads_everything;
}

std::string mode_text(const flow::TableTarget& target) {
    std::string text(to_string(target.mode));
    if (!target.key.empty()) text += fmt::format(" by {}", fmt::join(target.key, ", "));
    return text;
}

std::string reads_text(const flow::PlannedTable& table) {
    const auto& info = table.target.info;
    std::string text = info.estimated_rows < 0 ? "an unknown number of rows"
                                               : fmt::format("about {} rows", humane_count(info.estimated_rows));
    if (info.estimated_bytes >= 0) text += ", " + humane_bytes(static_cast<uint64_t>(info.estimated_bytes));
    if (!reads_from_checkpoint(table)) return text + ": everything";
    // Estimates are the planner's and know nothing of the cursor.
    if (info.cursor.empty()) return text;
    return fmt::format("what is new of {}: {} from {}", text, info.cursor, table.plan.checkpoint->cursor_to);
}

std::vector<std::string> lossy_spots(const flow::TableInfo& info) {
    std::vector<std::string> notes;
    for (const auto& field : info.schema.fields)
        if (!field.note.empty()) notes.push_back(fmt::format("{} ({}): {}", field.name, field.source_type, field.note));
    return notes;
}

std::string decision_text(const flow::SchemaDecision& decision) {
    std::string what = decision.detail.empty()
                           ? fmt::format("{} {}: {}", decision.change, decision.column, decision.decision)
                           : decision.detail;
    return decision.sql.empty() ? what : what + "\n             " + decision.sql;
}

std::string entry(std::string_view name, std::string_view text) { return fmt::format("  {:<9}  {}\n", name, text); }

std::string table_text(const flow::PlannedTable& table) {
    std::string text = fmt::format("{} -> {}\n", paint_stdout(Colour::bold, table.target.info.name), table.target.name);
    text += entry("mode", mode_text(table.target));
    text += entry("reads", reads_text(table));
    for (const auto& decision : table.plan.decisions) text += entry("schema", decision_text(decision));
    if (table.plan.refusal) text += entry("refused", table.plan.refusal->message);
    for (const auto& statement : table.plan.statements) text += entry("load", statement);
    for (const auto& spot : lossy_spots(table.target.info)) text += entry("lossy", spot);
    for (const auto& note : table.target.info.notes) text += entry("note", note);
    return text;
}

Json table_json(const flow::PlannedTable& table) {
    const auto& info = table.target.info;
    Json ddl = Json::array(), decisions = Json::array();
    for (const auto& decision : table.plan.decisions) {
        if (!decision.sql.empty()) ddl.push_back(decision.sql);
        decisions.push_back({{"column", decision.column},
                             {"change", decision.change},
                             {"decision", decision.decision},
                             {"sql", decision.sql},
                             {"detail", decision.detail}});
    }
    Json checkpoint = nullptr;
    if (reads_from_checkpoint(table))
        checkpoint = {{"cursor", table.plan.checkpoint->cursor_to},
                      {"read_at", iso_time(table.plan.checkpoint->read_at)}};
    auto known = [](int64_t value) { return value < 0 ? Json(nullptr) : Json(value); };
    return {{"table", info.name},
            {"target", table.target.name},
            {"refusal", table.plan.refusal ? error_json(*table.plan.refusal) : Json(nullptr)},
            {"mode", to_string(table.target.mode)},
            {"key", table.target.key},
            {"exists", table.plan.exists},
            {"estimated_rows", known(info.estimated_rows)},
            {"estimated_bytes", known(info.estimated_bytes)},
            {"cursor", info.cursor.empty() ? Json(nullptr) : Json(info.cursor)},
            {"checkpoint", checkpoint},
            {"reads_everything", table.plan.reads_everything},
            {"ddl", ddl},
            {"decisions", decisions},
            {"statements", table.plan.statements},
            {"lossy", lossy_spots(info)},
            {"notes", info.notes}};
}

struct PlannedPipeline {
    std::string name;
    Result<Planned> tables;
    std::optional<PlannedPrice> price = {};
    std::optional<Program> program = {};
};

/// Values of variables may be secrets.
Json program_json(const Program& program) {
    Json words = Json::array(), variables = Json::array();
    for (const auto& word : program.words) words.push_back(redact(word));
    for (const auto& [name, value] : program.variables) variables.push_back(name);
    return {{"words", words}, {"folder", program.folder.string()}, {"variables", variables}};
}

std::string program_text(const Program& program) {
    std::vector<std::string> names;
    for (const auto& [name, value] : program.variables) names.push_back(name);
    return entry("runs", redact(fmt::format("{}", fmt::join(program.words, " ")))) +
           entry("in", program.folder.string()) + entry("told", fmt::format("{}", fmt::join(names, ", ")));
}

Json pipeline_json(const PlannedPipeline& planned) {
    Json tables = Json::array();
    if (planned.tables)
        for (const auto& table : *planned.tables) tables.push_back(table_json(table));
    return {{"pipeline", planned.name},
            {"tables", tables},
            {"program", planned.program ? program_json(*planned.program) : Json(nullptr)},
            {"price", planned.price ? price_json(*planned.price) : Json(nullptr)},
            {"error", planned.tables ? Json(nullptr) : error_json(planned.tables.error())}};
}

std::string pipeline_text(const PlannedPipeline& planned) {
    std::string text = fmt::format("{}\n\n", paint_stdout(Colour::bold, "pipeline " + planned.name));
    if (!planned.tables) return text + "  cannot be planned: " + redact(planned.tables.error().message) + "\n\n";
    if (planned.program) text += program_text(*planned.program) + "\n";
    for (const auto& table : *planned.tables) text += table_text(table) + "\n";
    if (planned.price) text += fmt::format("price: {}\n\n", price_text(*planned.price));
    return text;
}

/// What a run would end with: that the pipeline cannot be planned, or what is refused in its tables.
std::vector<Error> obstacles(const PlannedPipeline& planned) {
    if (!planned.tables) return {planned.tables.error()};
    std::vector<Error> found;
    for (const auto& table : *planned.tables)
        if (table.plan.refusal) found.push_back(flow::in_table(*table.plan.refusal, table.target.info.name));
    return found;
}

PlannedPipeline planned_program(const Pipeline& pipeline, bool full_refresh) {
    auto program = pipeline.program(full_refresh);
    if (!program) return {pipeline.name(), fail(std::move(program.error()))};
    return {.name = pipeline.name(), .tables = Planned(), .program = std::move(*program)};
}

}  // namespace

/// One pipeline that cannot be planned keeps nobody from seeing the others.
Result<int> command::plan(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, session.options.names));
    PN_CHECK(travel(pipelines, session.options.as_of));
    std::vector<PlannedPipeline> planned;
    for (const auto& pipeline : pipelines) {
        if (pipeline.is_work()) {
            planned.push_back(planned_program(pipeline, session.options.full_refresh));
            continue;
        }
        auto request = pipeline.request("", session.options.full_refresh);
        auto tables = flow::plan(request, session.stop);
        auto price = planned_price(pipeline, request.purse->expected());
        planned.push_back({pipeline.name(), std::move(tables), std::move(price)});
    }

    int code = 0;
    Json list = Json::array();
    std::string text;
    for (const auto& one : planned) {
        list.push_back(pipeline_json(one));
        text += pipeline_text(one);
        for (const auto& error : obstacles(one)) {
            print_error(error, session.log_format);
            if (code == 0) code = exit_code(error.kind);
        }
    }
    PN_CHECK(session.json() ? print_json({{"pipelines", list}}) : print(text));
    return code;
}

}  // namespace penstock::app
