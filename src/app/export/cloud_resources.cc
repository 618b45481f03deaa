#include "app/export/cloud_resources.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::app {
namespace {

using config::Node;

bool is_name(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) || std::string_view("-_.~+%").find(static_cast<char>(c)) != std::string_view::npos;
    });
}

void note(CloudResources::Named& where, const std::string& pipeline, const std::string& name) {
    if (is_name(name)) where.names.insert(name);
    else where.open.insert(fmt::format("{}: {}", pipeline, name));
}

std::string text_of(const Node* map, std::string_view key, std::string otherwise = "") {
    const Node* found = map == nullptr ? nullptr : map->find(key);
    return found != nullptr && found->is_scalar() && !found->text.empty() ? found->text : otherwise;
}

/// Texts of a key that has one or a list of them.
std::vector<std::string> texts_of(const Node* map, std::string_view key) {
    const Node* found = map == nullptr ? nullptr : map->find(key);
    std::vector<std::string> texts;
    if (found == nullptr) return texts;
    if (found->is_scalar()) texts.push_back(found->text);
    for (const auto& item : found->items)
        if (item.is_scalar()) texts.push_back(item.text);
    return texts;
}

/// project.dataset.table, dataset.table: the dataset. One of another project is for its owner to allow.
void note_table(CloudResources::Named& where, const std::string& pipeline, const std::string& table) {
    auto dots = std::ranges::count(table, '.');
    if (dots == 1 && table.find('{') == table.npos) note(where, pipeline, table.substr(0, table.find('.')));
    else if (dots > 0) where.open.insert(fmt::format("{}: {}", pipeline, table));
}

class Collector {
  public:
    Collector(const config::Document& document, const Node& written) : document_(document), written_(written) {}

    CloudResources collect() && {
        for (const auto& pipeline : document_.pipelines) {
            const auto* node = written_.find("pipelines")->find(pipeline.name);
            read_from(pipeline, node->find("source"));
            write_to(pipeline, *node);
            if (pipeline.archive) note_bucket(pipeline.name, pipeline.archive->connection.value);
            if (pipeline.budget.daily_usd) out_.daily_usd += *pipeline.budget.daily_usd;
        }
        for (const auto& backup : document_.backups)
            note_bucket(backup.name, text_of(node_of("backups", backup.name)->find("store"), "connection"));
        for (const auto& name : out_.written_datasets.names) out_.read_datasets.names.erase(name);
        return std::move(out_);
    }

  private:
    const Node* node_of(std::string_view section, const std::string& name) const {
        return written_.find(section)->find(name);
    }

    /// The connection's options as they are written, when it is of that type; else null.
    const Node* connection_of(const std::string& name, std::string_view type) {
        const auto* connection = document_.connection(name);
        if (connection == nullptr || connection->type != type) return nullptr;
        const auto* options = node_of("connections", name);
        if (auto project = text_of(options, "project"); out_.project.empty() && is_name(project))
            out_.project = project;
        return options;
    }

    void note_bucket(const std::string& owner, const std::string& connection) {
        const auto* options = connection_of(connection, "files");
        auto url = text_of(options, "url");
        if (!url.starts_with("gs://")) return;
        auto rest = url.substr(5);
        note(out_.buckets, owner, rest.substr(0, rest.find('/')));
    }

    void read_from(const config::PipelineConfig& pipeline, const Node* source) {
        if (connection_of(pipeline.source_connection, "pubsub") != nullptr)
            note(out_.subscriptions, pipeline.name, text_of(source, "subscription"));
        note_bucket(pipeline.name, pipeline.source_connection);
        const auto* warehouse = connection_of(pipeline.source_connection, "bigquery");
        if (warehouse == nullptr) return;
        out_.queries = true;
        note_location(warehouse);
        for (const auto* key : {"table", "tables"})
            for (const auto& table : texts_of(source, key)) note_table(out_.read_datasets, pipeline.name, table);
        if (source->find("query") != nullptr)
            out_.read_datasets.open.insert(fmt::format("{}: what its query reads", pipeline.name));
    }

    void note_location(const Node* warehouse) {
        if (auto location = text_of(warehouse, "location"); out_.location.empty() && is_name(location))
            out_.location = location;
    }

    void write_to(const config::PipelineConfig& pipeline, const Node& node) {
        const auto* target = node.find("target");
        note_bucket(pipeline.name, pipeline.target_connection);
        if (connection_of(pipeline.target_connection, "pubsub") != nullptr)
            note(out_.topics, pipeline.name, text_of(target, "topic", "{server}.{schema}.{table}"));
        const auto* warehouse = connection_of(pipeline.target_connection, "bigquery");
        if (warehouse == nullptr) return;
        out_.queries = true;
        note_location(warehouse);
        note(out_.written_datasets, pipeline.name, text_of(warehouse, "bookkeeping", "penstock"));
        if (const auto* route = node.find("route"); route != nullptr && route->is_map())
            for (const auto& to : route->entries)
                if (auto table = text_of(&to.value, "table"); !table.empty())
                    note_table(out_.written_datasets, pipeline.name, table);
        if (auto view = text_of(node.find("rejects"), "table"); !view.empty())
            note_table(out_.written_datasets, pipeline.name, view);
        auto dataset = text_of(target, "dataset"), table = text_of(target, "table");
        if (!dataset.empty()) return note(out_.written_datasets, pipeline.name, dataset);
        if (!table.empty()) return note_table(out_.written_datasets, pipeline.name, table);
        if (node.find("route") == nullptr) note_schemas(pipeline.name, *node.find("source"));
    }

    /// Where nothing names the dataset it is the schema of the source's table.
    void note_schemas(const std::string& pipeline, const Node& source) {
        const auto* changes = source.find("changes");
        for (const auto* map : {&source, changes})
            for (const auto* key : {"table", "tables"})
                for (const auto& table : texts_of(map, key))
                    note(out_.written_datasets, pipeline, table.substr(0, table.find('.')));
    }

    const config::Document& document_;
    const Node& written_;
    CloudResources out_;
};

}  // namespace

CloudResources cloud_resources(const config::Document& document, const Node& written) {
    return Collector(document, written).collect();
}

}  // namespace penstock::app
