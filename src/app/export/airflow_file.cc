#include "app/export/airflow_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/export/airflow_program.h"
#include "app/placeholders.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using config::Catchup;

constexpr std::string_view plain_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

double in_seconds(std::chrono::microseconds duration) { return std::chrono::duration<double>(duration).count(); }

/// Cron, or the seconds of an `@every` that cron cannot say.
Json dag_schedule(const std::string& text) {
    if (auto cron = cron_fields(text)) return *cron;
    auto step = parse_duration(std::string_view(text).substr(std::string_view("@every ").size()));
    return step ? Json(in_seconds(*step)) : Json(nullptr);
}

Status check_dag(const config::Document& document, const config::PipelineConfig& pipeline) {
    const auto* leader = document.scheduled_by(pipeline);
    if (leader != nullptr && leader->catchup == Catchup::all && document.scheduling_of(*leader).start_date.empty())
        return fail(not_exported(
            leader->place, fmt::format("{} catches up on all it has missed, and does not say since when", leader->name),
            "give it a start_date: Airflow has no memory of when it first saw it"));
    for (const auto& before : pipeline.after) {
        const auto* other = document.scheduled_by(*document.pipeline(before.value));
        if (leader != nullptr && other == nullptr)
            return fail(not_exported(
                before.place, fmt::format("{} comes after {}, which no schedule runs", pipeline.name, before.value),
                fmt::format("give {} a schedule: a DAG cannot wait for runs by hand", before.value)));
        if (other != leader && other != nullptr && !cron_fields(other->schedule.value))
            return fail(
                not_exported(before.place,
                             fmt::format("{} comes after {}, whose times ({}) Airflow counts from its first run",
                                         pipeline.name, before.value, other->schedule.value),
                             "give it a cron expression, or a step that divides an hour or a day"));
    }
    return {};
}

Status check_sensors(const config::Document& document, const config::PipelineConfig& pipeline) {
    for (const auto& sensor : document.scheduling_of(pipeline).wait_for)
        if (!sensor.value.table.empty())
            return fail(not_exported(sensor.value.table.place,
                                     fmt::format("{} waits for a table, which no DAG is made to ask", pipeline.name),
                                     "leave it to `penstock serve`; or wait with a SqlSensor in a DAG of yours"));
    return {};
}

Status check_verification(const config::Document& document, const config::PipelineConfig& pipeline) {
    const auto& verify = document.scheduling_of(pipeline).verify;
    if (!verify) return {};
    return fail(not_exported(
        verify->schedule.place, fmt::format("{} is compared by a schedule, and no DAG is made of that", pipeline.name),
        fmt::format("leave it to a file of its own, which `penstock serve` runs; or call `penstock verify {} --part "
                    "next` in a DAG of yours",
                    pipeline.name)));
}

Status check_backup(const config::Backup& backup) {
    for (const auto* times :
         {backup.full ? &*backup.full : nullptr, backup.incremental ? &*backup.incremental : nullptr,
          static_cast<const config::Times*>(&backup.drill)})
        if (times != nullptr && !times->schedule.empty())
            return fail(not_exported(
                times->schedule.place, fmt::format("backup {} has times, and no DAG is made of backups", backup.name),
                "leave them to a file of their own, which `penstock serve` runs; or call `penstock backup` in a DAG of "
                "yours"));
    return {};
}

/// As they are written: what their references stand for is for the workers to know, and for no file.
Json dag_sensors(const config::Node& written, const config::PipelineConfig& pipeline,
                 const config::Scheduling& scheduling) {
    Json all = Json::array();
    const auto* list = written.find("pipelines")->find(pipeline.name)->find("wait_for");
    for (size_t i = 0; i < scheduling.wait_for.size(); ++i) {
        const auto& node = list->is_sequence() ? list->items[i] : *list;
        const auto* kind = node.find("file") != nullptr ? "file" : "http";
        all.push_back({{kind, node.find(kind)->text}, {"every", in_seconds(scheduling.wait_for[i].value.every)}});
    }
    return all;
}

/// A word of a shell's line, in a line of comment.
std::string shell_word(const std::string& name) {
    if (!name.empty() && name.find_first_not_of(plain_letters) == name.npos) return name;
    std::string text = "$'";
    for (unsigned char c : name) {
        if (c < 0x20 || c == 0x7f) text += fmt::format("\\x{:02x}", c);
        else if (c == '\'' || c == '\\') text += {'\\', static_cast<char>(c)};
        else text += static_cast<char>(c);
    }
    return text + "'";
}

Json dag_head(const config::Document& document, const RunGroup& group) {
    Json head = {{"dag_id", "penstock_" + group.name()}, {"schedule", nullptr}};
    if (group.leader == nullptr) return head;
    const auto& start = document.scheduling_of(*group.leader).start_date;
    head["schedule"] = dag_schedule(group.leader->schedule.value);
    head["timezone"] = schedule_zone(*group.leader);
    head["catchup"] = group.leader->catchup == Catchup::all;
    head["start_date"] = start.empty() ? Json(nullptr) : Json(start.value);
    return head;
}

Json dag_task(const config::Document& document, const config::Node& written, const config::PipelineConfig& pipeline,
              const Shards& shards) {
    const auto& scheduling = document.scheduling_of(pipeline);
    auto shared = shards.find(pipeline.name);
    std::vector<std::string> after;
    for (const auto& name : pipeline.after) after.push_back(name.value);
    return {{"name", pipeline.name},
            {"after", after},
            {"retries", pipeline.retries.max},
            {"retry_delay", in_seconds(pipeline.retries.delay)},
            {"backoff", pipeline.retries.backoff > 1 ? pipeline.retries.backoff : 0},
            {"timeout", scheduling.timeout ? Json(in_seconds(*scheduling.timeout)) : Json(nullptr)},
            {"pool", scheduling.pool.empty() ? Json(nullptr) : Json(scheduling.pool.value)},
            {"priority", scheduling.priority},
            {"wait_for", dag_sensors(written, pipeline, scheduling)},
            {"wants_window", wants_window(document, pipeline)},
            {"bounds_cursor", !wants_window(document, pipeline) && pipeline.source.find("cursor") != nullptr},
            {"shards", shared == shards.end() ? 0 : shared->second}};
}

}  // namespace

Result<std::string> airflow_file(const config::Document& document, const config::Node& written, const Shards& shards) {
    for (const auto& pipeline : document.pipelines) PN_CHECK(check_dag(document, pipeline));
    for (const auto& pipeline : document.pipelines) {
        PN_CHECK(check_sensors(document, pipeline));
        PN_CHECK(check_verification(document, pipeline));
    }
    for (const auto& backup : document.backups) PN_CHECK(check_backup(backup));
    std::string dags;
    for (const auto& group : run_groups(document)) {
        std::string tasks;
        for (const auto* pipeline : group.pipelines)
            tasks += fmt::format("{}      {}", tasks.empty() ? "" : ",\n",
                                 dag_task(document, written, *pipeline, shards).dump());
        auto head = dag_head(document, group).dump();
        head.pop_back();
        dags += fmt::format("{}    {}, \"pipelines\": [\n{}]}}", dags.empty() ? "" : ",\n", head, tasks);
    }
    std::string pools;
    for (const auto& [name, slots] : document.pools)
        pools += fmt::format("#   airflow pools set {} {} 'Penstock runs at once'\n", shell_word(name), slots);
    std::string text(airflow_program);
    auto fill = [&](std::string_view mark, const std::string& with) {
        text.replace(text.find(mark), mark.size(), with);
    };
    fill("@POOLS@", pools.empty() ? "" : "# The pools that tasks name have to be there:\n" + pools);
    fill("@FILE@", Json(std::filesystem::absolute(document.file).lexically_normal().string()).dump());
    fill("@DAGS@", dags);
    return text;
}

}  // namespace penstock::app
