#include "config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/letters.h"
#include "config/document_rules.h"
#include "config/suggest.h"

namespace penstock::config {
namespace {

std::string listed(std::string_view what, const std::vector<std::string>& names) {
    return names.empty() ? fmt::format("the file has no {}", what)
                         : fmt::format("{}: {}", what, fmt::join(names, ", "));
}

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
    std::vector<std::string> names;
    for (const auto& one : all) names.push_back(one.name);
    return names;
}

/// A bound on what later stages walk through, some of them recursively.
constexpr size_t most_names = 1000;

/// Names become parts of file names, of rows in the target and of metrics.
bool is_name(std::string_view name) {
    auto good = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; };
    return !name.empty() && name.size() <= 63 && std::isalnum(static_cast<unsigned char>(name.front())) &&
           std::all_of(name.begin(), name.end(), good);
}

class DocumentReader {
  public:
    DocumentReader(const Catalog& catalog, Diagnostics& diagnostics) : catalog_(catalog), diagnostics_(diagnostics) {}

    Document read(const Node& root) {
        DocumentOptions options;
        document_spec().read(root, options, diagnostics_);
        document_.state = options.state;
        document_.api = options.api;
        document_.lineage = options.lineage;
        document_.defaults = options.defaults;
        notify_ = options.defaults.notify;
        document_.pools = options.pools;
        if (root.place.file) document_.file = *root.place.file;
        document_.directory = document_.file.parent_path();
        document_.state_directory = document_.directory;
        for (const auto* section : {&options.connections, &options.pipelines, &options.backups})
            if (!is_map_of_names(*section)) return std::move(document_);
        for (const auto& entry : options.connections.entries) read_connection(entry);
        for (const auto& entry : options.pipelines.entries) read_pipeline(entry);
        for (const auto& entry : options.backups.entries) read_backup(entry);
        check_after(document_, diagnostics_);
        check_schedules(document_, diagnostics_);
        check_targets(document_, diagnostics_);
        check_notify();
        check_rejects();
        return std::move(document_);
    }

  private:
    void report(const Node& node, std::string code, std::string_view message, std::string hint = {}) {
        diagnostics_.add(problem(node, std::move(code), message, std::move(hint)));
    }

    /// An absent section is empty, and so is one whose entries are all commented out.
    bool is_map_of_names(const Node& section) {
        if (!section.is_map() && !section.is_null())
            report(section, "wrong_type", fmt::format("expected a map, found {}", describe(section.kind)));
        if (section.entries.size() > most_names)
            report(section, "configuration_too_large", fmt::format("more than {} entries", most_names));
        return (section.is_map() || section.is_null()) && section.entries.size() <= most_names;
    }

    bool check_name(const Node::Entry& entry) {
        if (is_name(entry.key)) return true;
        Error error = problem(entry.value, "bad_name", fmt::format("'{}' is not a name", entry.key),
                              "use letters, digits, '_' and '-', at most 63 of them, a letter or digit first");
        error.where = entry.place.text();
        diagnostics_.add(std::move(error));
        return false;
    }

    std::vector<std::string> types() const {
        std::vector<std::string> types;
        for (const auto& component : catalog_) types.push_back(component.type);
        return types;
    }

    void read_connection(const Node::Entry& entry) {
        if (!check_name(entry)) return;
        document_.connections.push_back({entry.key, "", entry.place, entry.value});
        const Node& node = entry.value;
        if (!node.is_map())
            return report(node, "wrong_type", fmt::format("expected a map, found {}", describe(node.kind)));
        const Node* type = node.find("type");
        if (type == nullptr) return report(node, "missing_key", "the key 'type' is missing", listed("types", types()));
        if (!type->is_scalar())
            return report(*type, "wrong_type", fmt::format("expected text, found {}", describe(type->kind)));
        const auto* component = find(catalog_, type->text);
        if (component == nullptr)
            return report(*type, "unknown_type",
                          fmt::format("{} is not a connection type of this version{} ({})", type->shown(),
                                      did_you_mean(type->text, types()), fmt::join(types(), ", ")));
        document_.connections.back().type = component->type;
        component->connection->validate(node, diagnostics_);
    }

    void read_pipeline(const Node::Entry& entry) {
        if (!check_name(entry)) return;
        PipelineEntry pipeline;
        static_cast<PipelineSettings&>(pipeline) = document_.defaults;
        pipeline.notify = notify_;
        pipeline.name = entry.key;
        pipeline.place = entry.place;
        pipeline_entry_spec().read(entry.value, pipeline, diagnostics_);
        if (entry.value.find("source"))
            pipeline.source_connection = read_side(pipeline.source, "source", &ComponentSpecs::source);
        if (entry.value.find("target"))
            pipeline.target_connection = read_side(pipeline.target, "target", &ComponentSpecs::target);
        if (pipeline.work() != nullptr) check_connection(pipeline.work()->find("connection"));
        document_.scheduling.emplace(pipeline.name, std::move(static_cast<Scheduling&>(pipeline)));
        document_.pipelines.push_back(std::move(static_cast<PipelineConfig&>(pipeline)));
    }

    void read_backup(const Node::Entry& entry) {
        if (!check_name(entry)) return;
        Backup backup;
        backup.name = entry.key;
        backup.place = entry.place;
        backup.notify = notify_;
        if (!backup_spec().read(entry.value, backup, diagnostics_)) return;
        check_connection(entry.value.find("connection"));
        check_connection(entry.value.find("store")->find("connection"));
        document_.backups.push_back(std::move(backup));
    }

    /// That a name, where one is given, is one of a connection.
    void check_connection(const Node* name) {
        if (name == nullptr || !name->is_scalar() || document_.connection(name->text) != nullptr) return;
        auto names = names_of(document_.connections);
        report(*name, "unknown_connection",
               fmt::format("there is no connection {}{}", name->shown(), did_you_mean(name->text, names)),
               listed("connections", names));
    }

    /// Checks a source or target by the spec of its connection's type. The name of the connection, or "" when it has none.
    std::string read_side(const Node& node, std::string_view side, const SpecBase* ComponentSpecs::* spec) {
        if (!node.is_map())
            return report(node, "wrong_type", fmt::format("expected a map, found {}", describe(node.kind))), "";
        auto names = names_of(document_.connections);
        const Node* name = node.find("connection");
        if (name == nullptr)
            return report(node, "missing_key", "the key 'connection' is missing", listed("connections", names)), "";
        if (!name->is_scalar())
            return report(*name, "wrong_type", fmt::format("expected text, found {}", describe(name->kind))), "";
        const Connection* connection = document_.connection(name->text);
        if (connection == nullptr)
            return report(*name, "unknown_connection",
                          fmt::format("there is no connection {}{}", name->shown(), did_you_mean(name->text, names)),
                          listed("connections", names)),
                   "";
        const auto* component = find(catalog_, connection->type);
        if (component == nullptr) return connection->name;  // its type was reported where it stands
        if (component->*spec == nullptr)
            return report(*name, "not_a_" + std::string(side),
                          fmt::format("connection '{}' cannot be a {}: its type is '{}'", connection->name, side,
                                      connection->type),
                          fits(side, spec)),
                   "";
        (component->*spec)->validate(node, diagnostics_);
        return connection->name;
    }

    /// Names in `defaults` stand in every pipeline and backup: told of once.
    void check_notify() {
        std::vector<const Notify*> all;
        for (const auto& pipeline : document_.pipelines) all.push_back(&document_.scheduling_of(pipeline).notify);
        for (const auto& backup : document_.backups) all.push_back(&backup.notify);
        auto names = names_of(document_.connections);
        std::set<std::string> told;
        for (const auto* notify : all)
            for (const auto* list :
                 {&notify->failure, &notify->recovery, &notify->sla, &notify->missed, &notify->budget})
                for (const auto& name : *list) {
                    const Connection* connection = document_.connection(name.value);
                    const auto* component = connection ? find(catalog_, connection->type) : nullptr;
                    bool unread = connection != nullptr && component == nullptr;  // its type was reported
                    if (unread || (component != nullptr && component->takes_news)) continue;
                    if (told.insert(name.place.text()).second) diagnostics_.add(no_receiver(name, connection, names));
                }
    }

    /// Of two pipelines with one view, each would hide the other's rejects.
    void check_rejects() {
        std::map<std::pair<std::string, std::string>, std::string> taken;
        for (const auto& pipeline : document_.pipelines) {
            if (!pipeline.rejects) continue;
            const auto& table = pipeline.rejects->table;
            auto [view, fresh] =
                taken.emplace(std::pair(pipeline.rejects->connection.value, lower_case(table.value)), pipeline.name);
            if (!fresh)
                diagnostics_.add({.kind = ErrorKind::configuration,
                                  .code = "rejects_named_twice",
                                  .message = fmt::format("pipelines.{}.rejects: {} shows the rejects of '{}'",
                                                         pipeline.name, table.value, view->second),
                                  .where = table.place.text(),
                                  .hint = "give each pipeline a table of its own"});
        }
    }

    static Error no_receiver(const Text& name, const Connection* connection, const std::vector<std::string>& names) {
        if (connection == nullptr)
            return {.kind = ErrorKind::configuration,
                    .code = "unknown_connection",
                    .message = fmt::format("notify: there is no connection '{}'{}", name.value,
                                           did_you_mean(name.value, names)),
                    .where = name.place.text(),
                    .hint = listed("connections", names)};
        return {.kind = ErrorKind::configuration,
                .code = "not_a_receiver",
                .message = fmt::format("notify: connection '{}' cannot be told anything: its type is '{}'", name.value,
                                       connection->type),
                .where = name.place.text(),
                .hint = "name a connection of type webhook or smtp"};
    }

    std::string fits(std::string_view side, const SpecBase* ComponentSpecs::* spec) const {
        std::vector<std::string> types;
        for (const auto& component : catalog_)
            if (component.*spec != nullptr) types.push_back(component.type);
        return fmt::format("types that can be a {}: {}", side, fmt::join(types, ", "));
    }

    const Catalog& catalog_;
    Diagnostics& diagnostics_;
    Document document_;
    Notify notify_;  ///< of `defaults`
};

Error no_such(std::string_view what, const Document& document, std::string_view name,
              const std::vector<std::string>& names) {
    return {.kind = ErrorKind::usage,
            .code = fmt::format("unknown_{}", what),
            .message = fmt::format("there is no {} '{}' in {}{}", what, name, document.file.string(),
                                   did_you_mean(name, names)),
            .hint = listed(fmt::format("{}s", what), names)};
}

Result<Document> read_loaded(Result<Node> root, const Catalog& catalog, const Surroundings& surroundings) {
    if (!root) return fail(std::move(root.error()));
    if (root->is_null())
        return fail(
            problem(*root, "configuration_empty", "the configuration is empty", "write one with 'penstock init'"));
    Diagnostics diagnostics;
    resolve_references(*root, surroundings, diagnostics);
    Document document = read_document(*root, catalog, diagnostics);
    if (!diagnostics.empty()) return fail(diagnostics.error());
    return document;
}

}  // namespace

const Spec<DocumentOptions>& document_spec() {
    using D = DocumentOptions;
    static const auto made =
        Spec<D>("configuration", "The file penstock.yaml.")
            .field("version", &D::version, "The version of this file format.", {.least = 1, .most = 1})
            .field("state", &D::state,
                   "Where run history, schedules and locks are kept: a SQLite file, or the URL of a database.",
                   {.example = "sqlite:.penstock/state.db", .default_note = "sqlite:.penstock/state.db"})
            .field("api", &D::api, api_spec(), "Who may use the HTTP API of `penstock serve`.", {})
            .field("lineage", &D::lineage, lineage_spec(),
                   "Who is told by OpenLineage's events what runs read and write. Where this is not there, "
                   "OPENLINEAGE_URL says it.",
                   {.example = "{url: https://marquez.example.com}"})
            .field("connections", &D::connections, "The systems that pipelines read from and write to, by name.",
                   {.noun = "map of connections"})
            .field("defaults", &D::defaults, defaults_spec(),
                   "Settings of every pipeline. Each may also stand in a pipeline, where it wins.")
            .field("pools", &D::pools,
                   "How many scheduled runs of a pool may go on at once, by name; pipelines name theirs by `pool`.",
                   {.example = "{shop_reads: 2}", .least = 1, .most = 1000})
            .field("pipelines", &D::pipelines, "The flows of rows, by name.", {.noun = "map of pipelines"})
            .field("backups", &D::backups, "The backups of servers, by name.", {.noun = "map of backups"});
    return made;
}

Document read_document(const Node& root, const Catalog& catalog, Diagnostics& diagnostics) {
    return DocumentReader(catalog, diagnostics).read(root);
}

Result<Document> load_document(const std::string& path, const Catalog& catalog, const Surroundings& surroundings) {
    return read_loaded(load(path), catalog, surroundings);
}

Result<Document> load_document_text(std::string_view text, const std::string& name, const Catalog& catalog,
                                    const Surroundings& surroundings) {
    return read_loaded(load_text(text, name), catalog, surroundings);
}

const Connection* Document::connection(std::string_view name) const {
    auto found =
        std::find_if(connections.begin(), connections.end(), [&](const Connection& one) { return one.name == name; });
    return found == connections.end() ? nullptr : &*found;
}

const PipelineConfig* Document::pipeline(std::string_view name) const {
    auto found =
        std::find_if(pipelines.begin(), pipelines.end(), [&](const PipelineConfig& one) { return one.name == name; });
    return found == pipelines.end() ? nullptr : &*found;
}

const Backup* Document::backup(std::string_view name) const {
    auto found = std::ranges::find(backups, name, &Backup::name);
    return found == backups.end() ? nullptr : &*found;
}

const Scheduling& Document::scheduling_of(const PipelineConfig& pipeline) const {
    static const Scheduling none;
    auto found = scheduling.find(pipeline.origin.empty() ? pipeline.name : pipeline.origin);
    return found == scheduling.end() ? none : found->second;
}

Error no_such_pipeline(const Document& document, std::string_view name) {
    return no_such("pipeline", document, name, names_of(document.pipelines));
}

Error no_such_connection(const Document& document, std::string_view name) {
    return no_such("connection", document, name, names_of(document.connections));
}

Error no_such_backup(const Document& document, std::string_view name) {
    return no_such("backup", document, name, names_of(document.backups));
}

}  // namespace penstock::config
