#include "app/export/deployment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "app/pipeline.h"
#include "app/placeholders.h"
#include "app/work/work.h"
#include "base/digest.h"
#include "state/lock.h"
#include "state/place.h"

namespace penstock::app {
namespace {

/// The program ends a run that takes longer than its `timeout` itself; what ends the program comes behind that.
constexpr std::chrono::minutes more_time{5};

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

/// A program and what it works on have to be in the container.
Status check_program(const config::Document& document, const config::PipelineConfig& pipeline) {
    const auto& work = *pipeline.work();
    const auto* folder = work.find(pipeline.command.is_null() ? "project" : "folder");
    if (folder == nullptr || !std::filesystem::path(folder->text).is_absolute())
        return fail(not_exported(folder == nullptr ? pipeline.place : folder->place,
                                 fmt::format("{}: its program works in a folder of this machine, which a container has "
                                             "not",
                                             pipeline.name),
                                 "put the program and the folder into the image, and name the folder by an absolute "
                                 "path"));
    const auto* written = document.connection(written_connection(pipeline));
    if (written == nullptr || !is_local(*written)) return {};
    return fail(not_exported(
        work.place,
        fmt::format("{}: its program writes '{}', which is on the disk of one machine", pipeline.name, written->name),
        "give that pipeline a pod with a volume of its own; another file of pipelines can be "
        "exported"));
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
    for (const auto& backup : document.backups)
        if (const auto* store = document.connection(backup.store.connection.value);
            store != nullptr && is_local(*store))
            return fail(not_exported(backup.store.connection.place,
                                     fmt::format("backup {}: its store '{}' is on the disk of one machine, which a "
                                                 "container has not",
                                                 backup.name, backup.store.connection.value),
                                     "keep it in a bucket: url: s3://… or gs://…"));
    for (const auto& pipeline : document.pipelines) {
        PN_CHECK(check_archive(document, pipeline));
        if (pipeline.work() != nullptr) {
            PN_CHECK(check_program(document, pipeline));
            continue;
        }
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

/// Jobs know nothing of one another.
Status check_pools(const config::Document& document, const std::vector<RunGroup>& groups) {
    std::map<std::string, int64_t> used;
    for (const auto& group : groups) {
        if (group.leader == nullptr) continue;
        std::set<std::string> own;
        for (const auto* pipeline : group.pipelines)
            if (const auto& pool = document.scheduling_of(*pipeline).pool;
                !pool.empty() && own.insert(pool.value).second)
                if (++used[pool.value] > document.pools.at(pool.value))
                    return fail(not_exported(pool.place,
                                             fmt::format("{} shares the pool {} with more pipelines than may run at "
                                                         "once, and jobs know nothing of one another",
                                                         pipeline->name, pool.value),
                                             "export with --serve, which runs `penstock serve`"));
    }
    return {};
}

/// Each has a name of its own in a cloud's store.
Status check_secret_names(const Deployment& made) {
    std::set<std::string> names;
    for (const auto& name : made.secrets())
        if (!names.insert(name).second)
            return fail({.kind = ErrorKind::configuration,
                         .code = "not_exported",
                         .message = fmt::format("two variables or files would both be the secret {}", name),
                         .hint = "give one of them another name"});
    return {};
}

Result<Workload> workload_of(const config::Document& document, const RunGroup& group, const Shards& shards) {
    Workload made{.name = dns_label(group.name()), .pipelines = {}, .cron = {}, .timezone = {}};
    if (group.leader != nullptr) {
        made.cron = cron_fields(group.leader->schedule.value).value_or("");
        made.timezone = schedule_zone(*group.leader);
    }
    bool bounded = true;
    std::chrono::seconds all = more_time;
    for (const auto* pipeline : group.pipelines) {
        made.pipelines.push_back(pipeline->name);
        made.memory_bytes = std::max(made.memory_bytes, pipeline->memory.count);
        made.retries = std::max(made.retries, pipeline->retries.max);
        // One after the other; where one may take any time, so may all.
        const auto& timeout = document.scheduling_of(*pipeline).timeout;
        if (!timeout) bounded = false;
        else all += std::chrono::ceil<std::chrono::seconds>(*timeout);
        auto shared = shards.find(pipeline->name);
        if (shared == shards.end()) continue;
        made.shards = shared->second;
        if (group.pipelines.size() > 1)
            return fail(not_exported(pipeline->place,
                                     fmt::format("{} is to be shared, and runs in one job with others", pipeline->name),
                                     "leave out its `after`, or --shards"));
    }
    if (bounded) made.timeout = all;
    PN_TRY(auto first, Pipeline::find(document, group.name()));
    if (group.leader == nullptr) made.kind = first.follows() ? Workload::Kind::followed : Workload::Kind::by_hand;
    return made;
}

Status add_workloads(Deployment& made, const config::Document& document, const Shards& shards) {
    auto groups = run_groups(document);
    if (!made.serve) {
        PN_CHECK(check_order(document, groups));
        PN_CHECK(check_pools(document, groups));
    }
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
    for (const auto& pipeline : document.pipelines)
        if (const auto& verify = document.scheduling_of(pipeline).verify; verify && !made.serve)
            return fail(not_exported(verify->schedule.place,
                                     fmt::format("{}: comparing it needs a server that keeps the times", pipeline.name),
                                     "export with --serve, or leave it to another file"));
    return {};
}

}  // namespace

std::vector<std::string> Deployment::secrets() const {
    std::vector<std::string> names;
    for (const auto& one : variables)
        if (one.required) names.push_back(secret_name(one.name));
    for (const auto& file : files)
        if (file.secret) names.push_back(secret_name(file.key));
    return names;
}

std::vector<std::string> Deployment::optional_variables() const {
    std::vector<std::string> names;
    for (const auto& one : variables)
        if (!one.required) names.push_back(one.name);
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
    // What a node that died has locked is free when its lease ends.
    words.insert(words.end(), {"--wait", std::to_string(2 * state::lease_time.count())});
    return words;
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
    PN_CHECK(check_secret_names(made));
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
