#include "app/for_each.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "app/components.h"
#include "config/document_rules.h"
#include "config/suggest.h"
#include "config/work.h"
#include "connect/mysql/component.h"
#include "connect/mysql/options.h"
#include "connect/mysql/table.h"

namespace penstock::app {
namespace {

using mysql::Row;

constexpr size_t most_rows = 1000;

Error at(const config::Place& place, std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = place.text(),
            .hint = std::move(hint)};
}

/// As names of pipelines are; what is not becomes a number that is always the same.
std::string name_of(const std::string& origin, const std::string& key) {
    auto plain = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; };
    if (!key.empty() && std::ranges::all_of(key, plain) && origin.size() + key.size() <= 61)
        return fmt::format("{}--{}", origin, key);
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (unsigned char c : key) hash = (hash ^ c) * 0x100000001b3;
    return fmt::format("{}--{:016x}", origin.substr(0, 45), hash);
}

/// Builds what stands in place of one pipeline.
class Expansion {
  public:
    Expansion(config::Document& document, const config::PipelineConfig& origin, const Parameters& parameters,
              const Windows& windows)
        : document_(document), origin_(origin), parameters_(parameters) {
        if (auto found = windows.find(origin.name); found != windows.end()) window_ = found->second;
    }

    Result<std::vector<config::PipelineConfig>> make() {
        const auto& each = *origin_.for_each;
        PN_TRY(auto place,
               mysql::parse_connection(document_.connection(each.connection.value)->options, document_.directory));
        PN_TRY(auto tables, mysql::Tables::open(place));
        PN_TRY(auto rows, tables->rows(each.table.value, most_rows));
        if (rows.empty())
            return fail(at(each.table.place, "for_each_empty",
                           fmt::format("{} has no rows, so {} has nothing to run for", each.table.value, origin_.name),
                           "add a row for each run"));
        std::string column = each.key.empty() ? "organization_id" : each.key.value;
        auto chosen = parameters_.find(column);
        std::set<std::string> wanted;
        if (chosen != parameters_.end()) wanted.insert(chosen->second.begin(), chosen->second.end());
        std::set<std::string> known;
        std::vector<config::PipelineConfig> made;
        for (const auto& row : rows) {
            auto key = row.find(column);
            if (key == row.end())
                return fail(at(each.table.place, "unknown_column",
                               fmt::format("{} has no column '{}'", each.table.value, column),
                               "name one that tells rows apart: `key:`"));
            if (!key->second || !known.insert(*key->second).second)
                return fail(at(each.table.place, "for_each_key",
                               fmt::format("{}.{} is NULL or the same in two rows", each.table.value, column),
                               "name a column that tells rows apart: `key:`"));
            if (chosen == parameters_.end() || wanted.contains(*key->second)) made.push_back(one(row, *key->second));
        }
        if (chosen != parameters_.end() && wanted.empty()) wanted.insert("");
        for (const auto& name : wanted)
            if (!known.contains(name))
                return fail({.kind = ErrorKind::usage,
                             .code = "no_such_row",
                             .message = fmt::format("{} has no row whose {} is '{}'", each.table.value, column, name),
                             .where = each.table.place.text(),
                             .hint = "add the row, or name one that is there"});
        return made;
    }

    /// Of one without `for_each`.
    config::PipelineConfig filled() {
        config::PipelineConfig config = origin_;
        keep_unusable(config, fill_for_run(config));
        return config;
    }

  private:
    config::PipelineConfig one(const Row& row, const std::string& key) {
        config::PipelineConfig config = origin_;
        config.name = name_of(origin_.name, key);
        config.origin = origin_.name;
        config.organization = key;
        config.row_of = std::exchange(config.for_each, std::nullopt);
        auto status = fill(config, Filling(origin_.for_each->as.value, "column", origin_.for_each->table.value, row));
        if (status) status = fill_for_run(config);
        keep_unusable(config, std::move(status));
        return config;
    }

    /// What only this run knows.
    Status fill_for_run(config::PipelineConfig& config) {
        auto values = single_values(parameters_);
        PN_CHECK(fill(config, Filling(parameter_word, "parameter", "this run", values)));
        return fill(config, Filling(window_word, "part", "the window", window_));
    }

    /// What could not be filled in fails when its turn comes.
    void keep_unusable(config::PipelineConfig& config, Status status) const {
        if (status) return;
        config.source = origin_.source, config.target = origin_.target;
        config.command = origin_.command, config.dbt = origin_.dbt;
        config.source_connection = origin_.source_connection, config.target_connection = origin_.target_connection;
        config.unusable = std::move(status.error());
    }

    Status fill(config::PipelineConfig& config, const Filling& filling) {
        if (config.work() != nullptr) return fill_work(config, filling);
        PN_CHECK(filling.fill(config.source));
        PN_CHECK(filling.fill(config.target));
        PN_TRY(config.source_connection, connection_for(config.source_connection, config.name, filling));
        PN_TRY(config.target_connection, connection_for(config.target_connection, config.name, filling));
        config::Diagnostics diagnostics;
        component(config.source_connection)->source_spec().validate(config.source, diagnostics);
        component(config.target_connection)->target_spec().validate(config.target, diagnostics);
        return diagnostics.status();
    }

    static Status fill_work(config::PipelineConfig& config, const Filling& filling) {
        bool is_command = !config.command.is_null();
        auto& node = is_command ? config.command : config.dbt;
        PN_CHECK(filling.fill(node));
        config::Diagnostics diagnostics;
        if (is_command) config::command_spec().validate(node, diagnostics);
        else config::dbt_spec().validate(node, diagnostics);
        return diagnostics.status();
    }

    const flow::Component* component(const std::string& connection) const {
        return find_component(document_.connection(connection)->type);
    }

    /// The connection itself, or one of its own for this row.
    Result<std::string> connection_for(const std::string& name, const std::string& pipeline, const Filling& filling) {
        auto connection = *document_.connection(name);
        if (!filling.wanted_in(connection.options)) return name;
        PN_CHECK(filling.fill(connection.options));
        connection.name = fmt::format("{} of {}", name, pipeline);
        if (document_.connection(connection.name) == nullptr) document_.connections.push_back(connection);
        return connection.name;
    }

    config::Document& document_;
    const config::PipelineConfig& origin_;
    const Parameters& parameters_;
    Filling::Values window_;
};

/// Two rows that name one table would overwrite each other's rows, as two pipelines would.
Status check_destinations(const config::Document& document) {
    config::Document usable = document;
    std::erase_if(usable.pipelines, [](const auto& pipeline) { return pipeline.unusable.has_value(); });
    config::Diagnostics diagnostics;
    config::check_targets(usable, diagnostics);
    return diagnostics.status();
}

Status check_connection(const config::Document& document, const config::Text& name) {
    const auto* connection = document.connection(name.value);
    if (connection == nullptr)
        return fail(at(name.place, "unknown_connection", fmt::format("there is no connection '{}'", name.value),
                       "add it under `connections:`"));
    if (connection->type != mysql::component().type)
        return fail(at(
            name.place, "not_mysql",
            fmt::format("connection '{}' is of type {}; rows and jobs are kept in mysql", name.value, connection->type),
            "name a connection with `type: mysql`"));
    PN_CHECK(mysql::parse_connection(connection->options, document.directory));
    return {};
}

}  // namespace

Status validate_for_each(const config::Document& document, const config::PipelineConfig& pipeline) {
    if (pipeline.for_each) PN_CHECK(check_connection(document, pipeline.for_each->connection));
    if (pipeline.jobs) PN_CHECK(check_connection(document, pipeline.jobs->connection));
    return {};
}

Status expand_for_each(config::Document& document, const Parameters& parameters, const Windows& windows) {
    std::vector<config::PipelineConfig> all;
    auto given = document.pipelines;
    for (const auto& pipeline : given) {
        Expansion expansion(document, pipeline, parameters, windows);
        if (!pipeline.for_each) {
            all.push_back(wants_parameters(document, pipeline) ? expansion.filled() : pipeline);
            continue;
        }
        PN_TRY(auto made, expansion.make());
        for (auto& one : made) all.push_back(std::move(one));
    }
    // Who comes after such a pipeline comes after all that stand for it.
    for (auto& pipeline : all) {
        std::vector<config::Text> after;
        for (const auto& name : pipeline.after) {
            if (std::ranges::find(all, name.value, &config::PipelineConfig::name) != all.end()) after.push_back(name);
            for (const auto& one : all)
                if (one.origin == name.value) after.push_back({.value = one.name, .place = name.place});
        }
        pipeline.after = std::move(after);
    }
    document.pipelines = std::move(all);
    return check_destinations(document);
}

}  // namespace penstock::app
