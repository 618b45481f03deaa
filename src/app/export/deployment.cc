#include "app/export/deployment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <regex>
#include <set>

#include "app/pipeline.h"
#include "app/placeholders.h"
#include "base/digest.h"
#include "state/place.h"

namespace penstock::app {
namespace {

constexpr uint64_t most_file_bytes = 512 << 10;  ///< a ConfigMap has room for 1 MiB in all

void each_text(const config::Node& node, const std::function<void(const config::Node&, const std::string& key)>& see,
               const std::string& key = "") {
    if (node.is_scalar()) see(node, key);
    for (const auto& item : node.items) each_text(item, see, key);
    for (const auto& entry : node.entries) each_text(entry.value, see, entry.key);
}

/// `${file:…}` of a text.
std::vector<std::string> file_references(const std::string& text) {
    static const std::regex reference(R"((\$\$\{)|\$\{file:([^}]*)\})");
    std::vector<std::string> found;
    for (std::sregex_iterator at(text.begin(), text.end(), reference), end; at != end; ++at)
        if ((*at)[2].matched) found.push_back((*at)[2].str());
    return found;
}

class Files {
  public:
    explicit Files(std::filesystem::path directory) : directory_(std::move(directory)) {}

    void add_secret(const std::string& path) {
        if (seen_.insert(path).second) found_.push_back({path, true, ""});
    }

    /// Where the text names a file below the configuration's folder.
    Status add_named(const config::Node& node) {
        const auto& path = node.text;
        if (path.empty() || path.size() > 255 || path.starts_with('/') || path.find("..") != path.npos) return {};
        std::error_code ignored;
        auto place = directory_ / path;
        if (path.find_first_of("\n{}$*:") != path.npos || !std::filesystem::is_regular_file(place, ignored)) return {};
        if (!seen_.insert(path).second) return {};
        std::ifstream stream(place, std::ios::binary);
        std::string text((std::istreambuf_iterator<char>(stream)), {});
        if (!stream || text.size() > most_file_bytes || text.find('\0') != text.npos)
            return fail(not_exported(node.place, fmt::format("{} is no text of at most 512 KiB", path),
                                     "put it into the image, and name it by an absolute path"));
        found_.push_back({path, false, std::move(text)});
        return {};
    }

    std::vector<WantedFile> found() && { return std::move(found_); }

  private:
    std::filesystem::path directory_;
    std::set<std::string> seen_;
    std::vector<WantedFile> found_;
};

/// `open` is given those that are named by references.
Result<std::vector<WantedFile>> wanted_files(const config::Document& document, const config::Node& written,
                                             std::vector<std::string>& open) {
    static const std::set<std::string, std::less<>> credentials = {"ca", "cert", "key", "credentials"};
    Files files(document.directory);
    each_text(written, [&](const config::Node& node, const std::string&) {
        for (const auto& path : file_references(node.text)) files.add_secret(path);
    });
    Status status;
    if (const auto* connections = written.find("connections"))
        each_text(*connections, [&](const config::Node& node, const std::string& key) {
            if (!credentials.contains(key) || node.text.empty()) return;
            if (node.text.find('{') == node.text.npos) files.add_secret(node.text);
            else if (std::ranges::find(open, node.text) == open.end()) open.push_back(node.text);
        });
    for (const auto* section : {written.find("pipelines"), written.find("defaults")})
        if (section != nullptr)
            each_text(*section, [&](const config::Node& node, const std::string&) {
                if (status) status = files.add_named(node);
            });
    PN_CHECK(status);
    return std::move(files).found();
}

/// Whether what is written there lies on the disk of one machine.
bool is_local(const config::Connection& connection) {
    if (connection.type == "duckdb") return true;
    const auto* url = connection.options.find("url");
    return connection.type == "files" && url != nullptr &&
           (url->text.starts_with("file:") || url->text.find("://") == url->text.npos);
}

/// Where messages are kept that their source forgets.
Status check_archive(const config::Document& document, const config::PipelineConfig& pipeline) {
    if (!pipeline.archive) return {};
    const auto& name = pipeline.archive->connection;
    const auto* connection = document.connection(name.value);
    if (connection == nullptr || !is_local(*connection)) return {};
    return fail(not_exported(name.place,
                             fmt::format("{}: the archive in '{}' is on the disk of one machine, which a container has "
                                         "not",
                                         pipeline.name, name.value),
                             "keep it in a bucket: url: s3://… or gs://…"));
}

/// A container's disk is gone with it.
Status check_places(const config::Document& document) {
    PN_TRY(auto place, state::place_of(document.state.reveal(), document.state_directory));
    if (place.engine == state::Engine::sqlite)
        return fail({.kind = ErrorKind::configuration,
                     .code = "state_not_shared",
                     .message = "the state is a file, and containers share none",
                     .where = document.file.string(),
                     .hint = "keep it in a database: state: \"${STATE_URL}\", postgres:// or mysql://"});
    for (const auto& pipeline : document.pipelines) {
        PN_CHECK(check_archive(document, pipeline));
        for (const auto& [name, side] : {std::pair{pipeline.target_connection, &pipeline.target},
                                         std::pair{pipeline.source_connection, &pipeline.source}}) {
            if (is_local(*document.connection(name)))
                return fail(not_exported(side->place,
                                         fmt::format("{}: connection '{}' is on the disk of one machine, which a "
                                                     "container has not",
                                                     pipeline.name, name),
                                         "give that pipeline a pod with a volume of its own, or a target that is "
                                         "reached by network; another file of pipelines can be exported"));
        }
    }
    return {};
}

/// What is lost where nothing but a clock begins the runs.
Status check_clockwork(const config::Document& document, const config::PipelineConfig& pipeline) {
    auto refuse = [&](const config::Place& place, std::string_view what) -> Status {
        return fail(not_exported(place, fmt::format("{} {}", pipeline.name, what),
                                 "export with --serve, which runs `penstock serve`"));
    };
    const auto* leader = document.scheduled_by(pipeline);
    if (pipeline.trigger) return refuse(pipeline.trigger->http.place, "is begun by messages, which nobody would take");
    if (leader == nullptr) return {};
    if (const auto& sensors = document.scheduling_of(pipeline).wait_for; !sensors.empty())
        return refuse(sensors.front().place, "waits for something, and a job begins at its time");
    if (wants_window(document, pipeline)) return refuse(pipeline.place, "wants a window, and a job has none");
    if (!cron_fields(leader->schedule.value))
        return refuse(leader->schedule.place,
                      fmt::format("has a schedule that is no cron expression ({})", leader->schedule.value));
    return {};
}

Status check_order(const config::Document& document, const std::vector<RunGroup>& groups) {
    for (const auto& group : groups)
        for (const auto* pipeline : group.pipelines)
            for (const auto& before : pipeline->after) {
                bool inside = std::ranges::find(group.pipelines, before.value, &config::PipelineConfig::name) !=
                              group.pipelines.end();
                if (!inside && document.scheduled_by(*pipeline) != nullptr)
                    return fail(not_exported(
                        before.place,
                        fmt::format("{} comes after {}, which has another schedule", pipeline->name, before.value),
                        "export with --serve, which runs `penstock serve`"));
            }
    return {};
}

Result<Workload> workload_of(const config::Document& document, const RunGroup& group, const Shards& shards) {
    Workload made{.name = dns_label(group.name()), .pipelines = {}, .cron = {}, .timezone = {}};
    if (group.leader != nullptr) {
        made.cron = cron_fields(group.leader->schedule.value).value_or("");
        made.timezone = schedule_zone(*group.leader);
    }
    for (const auto* pipeline : group.pipelines) {
        made.pipelines.push_back(pipeline->name);
        made.memory_bytes = std::max(made.memory_bytes, pipeline->memory.count);
        made.retries = std::max(made.retries, pipeline->retries.max);
        if (const auto& timeout = document.scheduling_of(*pipeline).timeout)
            made.timeout = std::max(made.timeout, std::chrono::ceil<std::chrono::seconds>(*timeout));
        auto shared = shards.find(pipeline->name);
        if (shared == shards.end()) continue;
        made.shards = shared->second;
        if (group.pipelines.size() > 1)
            return fail(not_exported(pipeline->place,
                                     fmt::format("{} is to be shared, and runs in one job with others", pipeline->name),
                                     "leave out its `after`, or --shards"));
    }
    PN_TRY(auto first, Pipeline::find(document, group.name()));
    if (group.leader == nullptr) made.kind = first.follows() ? Workload::Kind::followed : Workload::Kind::by_hand;
    return made;
}

Status add_workloads(Deployment& made, const config::Document& document, const Shards& shards) {
    auto groups = run_groups(document);
    if (!made.serve) PN_CHECK(check_order(document, groups));
    for (const auto& group : groups) {
        if (!made.serve)
            for (const auto* pipeline : group.pipelines) PN_CHECK(check_clockwork(document, *pipeline));
        PN_TRY(auto workload, workload_of(document, group, shards));
        bool begun = workload.kind == Workload::Kind::by_hand
                         ? workload.shards > 1
                         : workload.kind == Workload::Kind::followed || !made.serve;
        bool triggered = std::ranges::any_of(group.pipelines, [](const auto* one) { return one->trigger.has_value(); });
        // a_b and a-b are one label.
        while (std::ranges::find(made.workloads, workload.name, &Workload::name) != made.workloads.end())
            workload.name += "-2";
        if (begun) made.workloads.push_back(std::move(workload));
        else if (group.leader == nullptr && !triggered)
            made.idle.insert(made.idle.end(), workload.pipelines.begin(), workload.pipelines.end());
    }
    if (!made.serve && !document.backups.empty())
        return fail(not_exported(document.backups.front().place, "backups need a server that keeps their times",
                                 "export with --serve, or leave them to another file"));
    return {};
}

}  // namespace

std::string WantedFile::key() const {
    std::string key = path.substr(path.find_first_not_of("./"));
    std::ranges::replace_if(
        key, [](unsigned char c) { return !std::isalnum(c) && c != '.' && c != '_' && c != '-'; }, '-');
    return key;
}

std::vector<std::string> Deployment::secrets() const {
    std::vector<std::string> names;
    for (const auto& one : variables)
        if (one.required) names.push_back(secret_name(one.name));
    for (const auto& file : files)
        if (file.secret) names.push_back(secret_name(file.key()));
    return names;
}

std::string Deployment::notes() const {
    std::string text;
    if (!idle.empty())
        text += fmt::format("# Nothing says when these run, so nothing here runs them: {}\n", fmt::join(idle, ", "));
    if (!open_files.empty())
        text += fmt::format("# Files that are known only when it runs, to be mounted by you: {}\n",
                            fmt::join(open_files, ", "));
    return text;
}

std::vector<std::string> Workload::arguments() const {
    std::vector<std::string> words = {"run"};
    words.insert(words.end(), pipelines.begin(), pipelines.end());
    words.push_back(kind == Kind::followed ? "--follow" : "--drain");
    return words;
}

std::vector<WantedVariable> wanted_variables(const config::Node& node) {
    static const std::regex reference(R"((\$\$\{)|\$\{([A-Za-z_]\w*)(:-[^}]*)?\})");
    std::vector<WantedVariable> found;
    each_text(node, [&](const config::Node& one, const std::string&) {
        for (std::sregex_iterator at(one.text.begin(), one.text.end(), reference), end; at != end; ++at) {
            if (!(*at)[2].matched) continue;
            auto known = std::ranges::find(found, (*at)[2].str(), &WantedVariable::name);
            if (known == found.end()) known = found.insert(found.end(), {(*at)[2].str(), false});
            known->required |= !(*at)[3].matched;
        }
    });
    return found;
}

std::string dns_label(std::string_view name, size_t most) {
    std::string label;
    for (unsigned char c : name) label += std::isalnum(c) ? static_cast<char>(std::tolower(c)) : '-';
    if (label.size() > most) label = label.substr(0, most - 7) + "-" + sha256_hex(name).substr(0, 6);
    while (label.ends_with('-')) label.pop_back();
    return label;
}

std::string secret_name(std::string_view what) { return "penstock-" + dns_label(what, 60); }

Result<Deployment> wants_of(const config::Document& document, const config::Node& written, const Options& options) {
    Deployment made;
    made.image = options.image;
    made.serve = options.serve;
    made.project = options.project;
    std::ifstream stream(document.file, std::ios::binary);
    made.configuration.assign(std::istreambuf_iterator<char>(stream), {});
    if (!stream || made.configuration.empty())
        return fail({.kind = ErrorKind::configuration,
                     .code = "configuration_unreadable",
                     .message = fmt::format("{} cannot be read a second time", document.file.string()),
                     .hint = "export from a file, not from a pipe"});
    made.variables = wanted_variables(written);
    PN_TRY(made.files, wanted_files(document, written, made.open_files));
    std::string all = made.configuration;
    for (const auto& file : made.files) all += fmt::format("\n{}\n{}", file.path, file.text);
    made.digest = sha256_hex(all).substr(0, 10);
    for (const auto& pipeline : document.pipelines)
        made.memory_bytes = std::max(made.memory_bytes, pipeline.memory.count);
    return made;
}

Result<Deployment> deployment_of(const config::Document& document, const config::Node& written,
                                 const Options& options) {
    PN_CHECK(check_places(document));
    PN_TRY(auto shards, read_shards(document, options.shards));
    PN_TRY(auto made, wants_of(document, written, options));
    PN_CHECK(add_workloads(made, document, shards));
    return made;
}

}  // namespace penstock::app
