#include "app/drill/compared_pipelines.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <memory>

#include "app/components.h"
#include "config/suggest.h"
#include "connect/postgres/component.h"
#include "connect/postgres/options.h"

namespace penstock::app {
namespace {

using Diagnostics = config::Diagnostics;

/// What libpq takes out of a connection's URL: "dbname", "user".
std::string part_of(const config::Document& document, const std::string& connection, std::string_view name) {
    const auto* url = document.connection(connection)->options.find("url");
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parts(
        url == nullptr ? nullptr : PQconninfoParse(url->text.c_str(), nullptr), PQconninfoFree);
    for (const auto* one = parts.get(); one != nullptr && one->keyword != nullptr; ++one)
        if (one->keyword == name && one->val != nullptr) return one->val;
    return "";
}

/// Why a drill cannot compare this one; "" it can.
std::string obstacle(const config::Document& document, const config::PipelineConfig& pipeline) {
    const auto* connection = document.connection(pipeline.source_connection);
    if (connection == nullptr || find_component(connection->type) != &postgres::component())
        return "it does not read PostgreSQL";
    if (pipeline.for_each) return "it stands for one pipeline a row of `for_each`";
    return "";
}

/// The same configuration, in which this connection leads to the restored server.
config::Document redirected(config::Document document, const std::string& connection, const Sandbox& sandbox) {
    auto database = database_of(document, connection);
    auto found = std::ranges::find(document.connections, connection, &config::Connection::name);
    std::erase_if(found->options.entries, [](const auto& one) { return one.key == "tls"; });
    for (auto& entry : found->options.entries) {
        if (entry.key != "url") continue;
        auto place = entry.value.place;
        auto path = entry.value.path;
        entry.value = config::Node::scalar(sandbox.address(database.empty() ? "postgres" : database), true);
        entry.value.place = place;
        entry.value.path = path;
    }
    return document;
}

}  // namespace

bool ComparedPipeline::equal() const { return !error && std::ranges::all_of(tables, &VerifiedTable::equal); }

void check_compared(const config::Document& document, const config::Backup& backup, Diagnostics& diagnostics) {
    std::vector<std::string> names;
    for (const auto& pipeline : document.pipelines) names.push_back(pipeline.name);
    for (const auto& name : backup.drill.verify) {
        const auto* pipeline = document.pipeline(name.value);
        Error error{.kind = ErrorKind::configuration, .where = name.place.text()};
        if (pipeline == nullptr) {
            error.code = "unknown_pipeline";
            error.message = fmt::format("backups.{}.drill.verify: there is no pipeline '{}'{}", backup.name, name.value,
                                        config::did_you_mean(name.value, names));
            error.hint = fmt::format("pipelines: {}", fmt::join(names, ", "));
            diagnostics.add(std::move(error));
        } else if (auto why = obstacle(document, *pipeline); !why.empty()) {
            error.code = "not_compared_by_drills";
            error.message =
                fmt::format("backups.{}.drill.verify: a drill cannot compare '{}': {}", backup.name, name.value, why);
            error.hint = "name pipelines from the backed up server's tables";
            diagnostics.add(std::move(error));
        }
    }
}

bool captures(const config::PipelineConfig& pipeline) { return pipeline.source.find("changes") != nullptr; }

ComparedPipeline compare_restored(const config::Document& document, const std::string& name, const Sandbox& sandbox,
                                  const VerifyRequest& request, const std::stop_token& stop) {
    ComparedPipeline out{.name = name};
    auto there = redirected(document, document.pipeline(name)->source_connection, sandbox);
    auto pipeline = Pipeline::find(there, name);
    auto tables = pipeline ? verify_pipeline(there, *pipeline, request, stop) : fail(pipeline.error());
    if (tables) out.tables = std::move(*tables);
    else out.error = std::move(tables.error());
    return out;
}

Result<std::vector<ComparedPipeline>> compare_pipelines(const config::Document& document, const config::Backup& backup,
                                                        const Sandbox& sandbox, TimePoint held_until,
                                                        const std::stop_token& stop) {
    std::vector<ComparedPipeline> all;
    for (const auto& name : backup.drill.verify) {
        if (captures(*document.pipeline(name.value))) continue;
        auto one = compare_restored(document, name.value, sandbox, {}, stop);
        if (one.error && one.error->kind == ErrorKind::interrupted) return fail(std::move(*one.error));
        for (const auto& table : one.tables)
            if (!table.equal() && table.batch && table.batch->checkpoint.read_at > held_until)
                one.note = fmt::format(
                    "{} was loaded at {}, and the restored state is of {}: what was committed in between "
                    "is among the differences",
                    table.target.name, iso_time(table.batch->checkpoint.read_at), iso_time(held_until));
        all.push_back(std::move(one));
    }
    return all;
}

std::string database_of(const config::Document& document, const std::string& connection) {
    return part_of(document, connection, "dbname");
}

std::string user_of(const config::Document& document, const std::string& connection) {
    return part_of(document, connection, "user");
}

}  // namespace penstock::app
