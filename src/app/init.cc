#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "app/commands.h"
#include "app/components.h"
#include "app/output.h"
#include "base/secret.h"
#include "config/scaffold.h"

namespace penstock::app {
namespace {

using config::Node;

constexpr auto source_type = "postgres";
constexpr auto target_type = "duckdb";

Error init_error(ErrorKind kind, std::string code, std::string message, std::string hint) {
    return {.kind = kind, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

/// A name as the configuration takes it: letters, digits, `_` and `-`.
std::string as_name(std::string_view text) {
    std::string name;
    for (char c : text) name += std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' ? c : '_';
    while (!name.empty() && !std::isalnum(static_cast<unsigned char>(name.front()))) name.erase(0, 1);
    return name.substr(0, 63);
}

/// The database's name in an URL or key=value string, for the connection to be called by.
std::string database_name(const std::string& url) {
    std::string name;
    if (auto scheme = url.find("://"); scheme != url.npos) {
        auto slash = url.find('/', scheme + 3);
        if (slash != url.npos) name = url.substr(slash + 1, url.find('?', slash) - slash - 1);
    } else if (auto key = url.find("dbname="); key != url.npos) {
        name = url.substr(key + 7, url.find(' ', key) - key - 7);
    }
    name = as_name(name);
    return name.empty() || name == "warehouse" ? "source" : name;
}

std::string variable_for(const std::string& connection) {
    std::string variable;
    for (char c : connection)
        variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (std::isdigit(static_cast<unsigned char>(variable.front()))) variable.insert(0, "DB_");
    return variable + "_URL";
}

struct Names {
    std::string connection;
    std::string variable;
};

std::vector<config::ScaffoldConnection> connections(const Names& names) {
    return {{.name = names.connection,
             .component = config::find(catalog(), source_type),
             .given = {{"url", Node::scalar(fmt::format("${{{}}}", names.variable), true)}}},
            {.name = "warehouse",
             .component = config::find(catalog(), target_type),
             .given = {{"path", Node::scalar("warehouse.duckdb")}}}};
}

Node list(const std::vector<std::string>& texts) {
    std::vector<Node> items;
    for (const auto& text : texts) items.push_back(Node::scalar(text));
    return Node::sequence(std::move(items));
}

/// Where a column tells what changed and a key tells which row it is, increments are merged; else the table is replaced.
config::ScaffoldPipeline propose(const flow::TableInfo& table, const Names& names, const std::string& pipeline) {
    bool incremental = !table.cursor.empty() && !table.key.empty();
    auto dot = table.name.find('.');
    std::string schema = table.name.substr(0, dot), name = table.name.substr(dot + 1);
    config::ScaffoldPipeline made{.name = pipeline,
                                  .source_connection = names.connection,
                                  .source = {{"table", Node::scalar(table.name)}},
                                  .target_connection = "warehouse",
                                  .target = {}};
    if (incremental) made.source.emplace_back("cursor", Node::scalar(table.cursor));
    made.target.emplace_back("table",
                             Node::scalar(fmt::format("{}.{}", schema == "public" ? names.connection : schema, name)));
    made.target.emplace_back("mode", Node::scalar(incremental ? "merge" : "replace"));
    if (incremental) made.target.emplace_back("key", list(table.key));
    return made;
}

std::string remark(const flow::TableInfo& table) {
    if (table.key.empty()) return "No primary key: replaced as a whole at each run.";
    if (table.cursor.empty()) return "No column that tells when a row changed: replaced as a whole at each run.";
    return fmt::format(
        "Takes {} to be set at each change, and deletes not to matter; else drop cursor and key, and replace.",
        table.cursor);
}

/// A pipeline on few lines; the first one in the file shows every option.
std::string short_pipeline(const config::ScaffoldPipeline& pipeline, const std::string& why) {
    auto side = [](const std::string& connection, const config::Given& given) {
        std::vector<Node::Entry> entries = {{"connection", {}, Node::scalar(connection)}};
        for (const auto& [name, value] : given) entries.push_back({name, {}, value});
        return config::dump_inline(Node::map(std::move(entries)));
    };
    return fmt::format("\n  # {}\n  {}:\n    source: {}\n    target: {}\n", why, pipeline.name,
                       side(pipeline.source_connection, pipeline.source),
                       side(pipeline.target_connection, pipeline.target));
}

std::string document_for(const std::vector<flow::TableInfo>& tables, const Names& names) {
    std::vector<config::ScaffoldPipeline> pipelines;
    std::set<std::string> taken;
    for (const auto& table : tables) {
        auto dot = table.name.find('.');
        std::string name = as_name(table.name.substr(dot + 1));
        if (name.empty() || taken.contains(name)) name = as_name(table.name);
        while (!taken.insert(name).second) name += "_2";
        pipelines.push_back(propose(table, names, name));
    }
    // The table whose proposal says most comes first, with all options.
    auto fullest = std::ranges::max_element(pipelines, {}, [](const auto& pipeline) { return pipeline.source.size(); });
    auto first = static_cast<size_t>(fullest - pipelines.begin());
    std::string text = config::scaffold_document(connections(names), {pipelines[first]});
    for (size_t i = 0; i < pipelines.size(); ++i)
        if (i != first) text += short_pipeline(pipelines[i], remark(tables[i]));
    return text;
}

Result<std::vector<flow::TableInfo>> discover(const std::string& url, const std::string& name, std::stop_token stop) {
    bool known = url.starts_with("postgres://") || url.starts_with("postgresql://") || url.find('=') != url.npos;
    if (!known)
        return fail(init_error(ErrorKind::usage, "unknown_url", "--from does not name a PostgreSQL database",
                               "give an URL (postgresql://me@host/database) or libpq's key=value form (service=shop)"));
    const auto* component = find_component(source_type);
    remember_secret(url);
    Node connection = Node::map({{"type", {}, Node::scalar(source_type)}, {"url", {}, Node::scalar(url, true)}});
    Node root = Node::map({{"connections", {}, Node::map({{name, {}, std::move(connection)}})}});
    config::assign_paths(root);
    auto tables = component->discover_all(*root.find("connections")->find(name), {}, stop);
    if (!tables) tables.error().where = "--from";  // there is no file yet to point into
    if (!tables || !tables->empty()) return tables;
    return fail(init_error(ErrorKind::refused, "no_tables", "the database has no table that this user may read",
                           "GRANT SELECT ON ALL TABLES IN SCHEMA … TO the user of the URL"));
}

/// Never over an existing file unless told so, not even one that appears at this moment.
Status write_new(const std::string& file, const std::string& text, bool force) {
    int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0644);
    if (descriptor < 0 && errno == EEXIST)
        return fail(init_error(ErrorKind::usage, "file_exists", fmt::format("{} exists", file),
                               "name another with -f, or overwrite it with --force"));
    bool written =
        descriptor >= 0 && ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    int number = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (written) return {};
    return fail(init_error(ErrorKind::refused, "file_not_written",
                           fmt::format("{} cannot be written: {}", file, std::strerror(number)),
                           "name another file with -f"));
}

}  // namespace

Result<int> command::init(const Session& session) {
    const Options& options = session.options;
    if (!options.force && ::access(options.file.c_str(), F_OK) == 0)
        return fail(init_error(ErrorKind::usage, "file_exists", fmt::format("{} exists", options.file),
                               "name another with -f, or overwrite it with --force"));

    Names names{.connection = "shop", .variable = "SHOP_URL"};
    std::vector<flow::TableInfo> tables = {
        {.name = "public.orders", .schema = {}, .key = {"id"}, .cursor = "updated_at", .notes = {}}};
    if (!options.url.empty()) {
        names.connection = database_name(options.url);
        names.variable = variable_for(names.connection);
        PN_TRY(tables, discover(options.url, names.connection, session.stop));
    }
    PN_CHECK(write_new(options.file, document_for(tables, names), options.force));

    std::string url = options.url.empty() ? "postgres://user:password@host/database" : "<the URL you gave>";
    PN_CHECK(
        print(fmt::format("wrote {} with {} pipeline{}\n\nnext:\n  export {}='{}'\n  penstock check\n  penstock plan\n "
                          " penstock run --all\n",
                          options.file, tables.size(), tables.size() == 1 ? "" : "s", names.variable, url)));
    return 0;
}

}  // namespace penstock::app
