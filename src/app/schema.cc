#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>

#include "app/commands.h"
#include "app/contract.h"
#include "app/ledgers.h"
#include "app/output.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/text_table.h"
#include "config/suggest.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> wanted_pipelines(const Options& options) {
    return options.pipeline.empty() ? std::vector<std::string>() : std::vector{options.pipeline};
}

/// A table of the target with the pipeline that writes it.
struct Registered {
    std::vector<flow::SchemaRecord> records;  ///< oldest first
    Pipeline pipeline;
};

Error unknown_table(const std::string& table, const std::set<std::string>& known) {
    std::vector<std::string> names(known.begin(), known.end());
    return {.kind = ErrorKind::usage,
            .code = "unknown_table",
            .message = fmt::format("no run has written a table '{}'{}", table, config::did_you_mean(table, names)),
            .hint = names.empty() ? "run a pipeline first; `penstock plan` shows what it would create"
                                  : fmt::format("known are {}", fmt::join(names, ", "))};
}

Result<Registered> find_registered(const Session& session, const config::Document& document) {
    const std::string& table = session.options.names.front();
    PN_TRY(auto pipelines, select_pipelines(document, wanted_pipelines(session.options)));
    std::set<std::string> known;
    for (const auto& pipeline : pipelines) {
        PN_TRY(auto ledger, pipeline.open_ledger());
        if (ledger == nullptr) continue;
        PN_TRY(auto all, ledger->schema_history(""));
        for (const auto& record : all) known.insert(record.table);
        std::erase_if(all, [&](const auto& record) { return record.table != table; });
        if (!all.empty()) return Registered{std::move(all), pipeline};
    }
    return fail(unknown_table(table, known));
}

Json decision_json(const flow::SchemaDecision& decision) {
    return {{"column", decision.column},
            {"change", decision.change},
            {"decision", decision.decision},
            {"sql", decision.sql},
            {"detail", decision.detail}};
}

std::string decisions_text(const std::vector<flow::SchemaDecision>& decisions) {
    std::string text;
    for (const auto& decision : decisions) {
        text += fmt::format("{}{}{}: {}", decision.change, decision.column.empty() ? "" : " ", decision.column,
                            decision.decision);
        if (!decision.detail.empty()) text += fmt::format(" ({})", decision.detail);
        text += decision.sql.empty() ? "\n" : fmt::format("\n  {}\n", decision.sql);
    }
    return text;
}

/// The plan of the pipeline that writes the table. A pipeline whose plan fails may be another table's.
Result<flow::PlannedTable> find_planned(const Session& session, const std::vector<Pipeline>& pipelines) {
    const std::string& table = session.options.names.front();
    std::set<std::string> known;
    std::optional<Error> first_failure;
    for (const auto& pipeline : pipelines) {
        if (pipeline.is_work() && session.options.pipeline.empty()) continue;
        auto planned = flow::plan(pipeline.request(""), session.stop);
        if (!planned && !first_failure) first_failure = std::move(planned.error());
        if (!planned) continue;
        for (auto& one : *planned) {
            if (one.target.name == table) return std::move(one);
            known.insert(one.target.name);
        }
    }
    if (first_failure) return fail(std::move(*first_failure));
    return fail(unknown_table(table, known));
}

}  // namespace

Result<int> command::schema_show(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto registered, find_registered(session, document));
    PN_TRY(auto schema, data::schema_from_json(registered.records.back().columns));
    if (const auto& form = session.options.form; !form.empty()) {
        PN_TRY(auto made, contract(form, session.options.names.front(), schema, registered.pipeline.config()));
        PN_CHECK(print(made.dump(2) + "\n"));
        return 0;
    }
    Json list = Json::array();
    TextTable table({{.heading = "COLUMN"}, {.heading = "SOURCE"}, {.heading = "TARGET"}, {.heading = "NULL"}});
    for (const auto& field : schema.fields) {
        std::string type = registered.pipeline.target_type(field);
        table.add({field.name, field.source_type, type, field.nullable ? "yes" : "no"});
        list.push_back({{"column", field.name},
                        {"source_type", field.source_type},
                        {"target_type", type},
                        {"nullable", field.nullable}});
    }
    const auto& last = registered.records.back();
    if (session.json()) {
        PN_CHECK(print_json({{"table", last.table},
                             {"version", last.version},
                             {"pipeline", registered.pipeline.name()},
                             {"columns", list}}));
    } else {
        PN_CHECK(print(table.text()));
    }
    return 0;
}

Result<int> command::schema_diff(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, wanted_pipelines(session.options)));
    PN_TRY(auto planned, find_planned(session, pipelines));
    if (session.json()) {
        Json list = Json::array();
        for (const auto& decision : planned.plan.decisions) list.push_back(decision_json(decision));
        PN_CHECK(
            print_json({{"table", planned.target.name}, {"source", planned.target.info.name}, {"decisions", list}}));
    } else if (planned.plan.decisions.empty()) {
        PN_CHECK(print(fmt::format("{} has the shape of {}\n", planned.target.name, planned.target.info.name)));
    } else {
        PN_CHECK(print(decisions_text(planned.plan.decisions)));
    }
    return 0;
}

Result<int> command::schema_history(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto registered, find_registered(session, document));
    Json list = Json::array();
    TextTable table({{.heading = "VERSION", .align = TextTable::Align::right},
                     {.heading = "SINCE (UTC)"},
                     {.heading = "COLUMN"},
                     {.heading = "CHANGE"},
                     {.heading = "DECISION"},
                     {.heading = "SQL", .most = 100}});
    for (const auto& record : registered.records) {
        table.add({std::to_string(record.version), moment(record.first_seen_at), record.column, record.change,
                   record.decision, record.sql});
        list.push_back({{"table", record.table},
                        {"version", record.version},
                        {"column", record.column},
                        {"change", record.change},
                        {"decision", record.decision},
                        {"sql", record.sql},
                        {"first_seen_at", iso_time(record.first_seen_at)}});
    }
    PN_CHECK(session.json() ? print_json({{"history", list}}) : print(table.text()));
    return 0;
}

}  // namespace penstock::app
