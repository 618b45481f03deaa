#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "app/export/exported_file.h"
#include "app/export/yaml_text.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

/// Cloud Run mounts one secret a folder.
Status check_mounts(const Deployment& deployment) {
    std::set<std::string> folders = {std::string(configuration_folder)};
    for (const auto& file : deployment.files) {
        if (!file.secret) continue;
        auto folder =
            file.path.starts_with('/') ? file.path.substr(0, file.path.rfind('/')) : std::string(configuration_folder);
        if (!folders.insert(folder).second)
            return fail({.kind = ErrorKind::configuration,
                         .code = "not_exported",
                         .message = fmt::format("Cloud Run mounts one secret a folder, and {} has one already for {}",
                                                folder, file.path),
                         .hint = fmt::format("name it by a folder of its own: /secrets/{}/{}", dns_label(file.key),
                                             file.path.substr(file.path.rfind('/') + 1))});
    }
    return {};
}

/// Whether the configuration comes as a secret, or in the image with the files that it refers to.
bool mounts_configuration(const Deployment& deployment) {
    return std::ranges::all_of(deployment.files, &WantedFile::secret);
}

Json cloud_container(const Deployment& deployment, std::vector<std::string> arguments) {
    Json environment = Json::array();
    for (const auto& one : deployment.variables)
        if (one.required)
            environment.push_back(
                {{"name", one.name},
                 {"valueFrom", {{"secretKeyRef", {{"name", secret_name(one.name)}, {"key", "latest"}}}}}});
    return {{"name", "penstock"},
            {"image", deployment.image},
            {"args", std::move(arguments)},
            {"env", environment},
            {"resources", {{"limits", {{"cpu", "2"}, {"memory", "2Gi"}}}}}};
}

void add_mounts(const Deployment& deployment, Json& container, Json& spec) {
    Json mounts = Json::array(), volumes = Json::array();
    auto mount = [&](const std::string& name, const std::string& secret, const std::string& folder,
                     const std::string& file) {
        mounts.push_back({{"name", name}, {"mountPath", folder}});
        volumes.push_back(
            {{"name", name}, {"secret", {{"secretName", secret}, {"items", {{{"key", "latest"}, {"path", file}}}}}}});
    };
    if (mounts_configuration(deployment))
        mount("configuration", "penstock-config", std::string(configuration_folder), "penstock.yaml");
    for (const auto& file : deployment.files)
        if (file.secret)
            mount(dns_label(file.key), secret_name(file.key), file.path.substr(0, file.path.rfind('/')),
                  file.path.substr(file.path.rfind('/') + 1));
    if (!mounts.empty()) container["volumeMounts"] = mounts;
    spec["containers"] = Json::array({container});
    if (!volumes.empty()) spec["volumes"] = volumes;
}

std::string account(const std::string& project, std::string_view name) {
    return fmt::format("penstock-{}@{}.iam.gserviceaccount.com", name, project);
}

/// A gibibyte beside what the pipelines may take.
std::string cloud_memory(uint64_t budget, int at_once) {
    return fmt::format("{}Gi", 1 + (budget * static_cast<uint64_t>(at_once) + (1u << 30) - 1) / (1u << 30));
}

/// Of a task; without a word it would be ten minutes.
constexpr std::chrono::hours cloud_most{24};

std::string cloud_job(const Deployment& deployment, const Workload& workload) {
    auto container = cloud_container(deployment, workload.arguments());
    container["resources"]["limits"]["memory"] = cloud_memory(workload.memory_bytes, 1);
    Json task = {{"serviceAccountName", account(deployment.project, "runner")},
                 {"maxRetries", std::min<int64_t>(workload.retries, 10)},
                 {"timeoutSeconds", workload.timeout.value_or(cloud_most).count()}};
    add_mounts(deployment, container, task);
    Json annotations = {{"run.googleapis.com/execution-environment", "gen2"}};
    return yaml_text(
        {{"apiVersion", "run.googleapis.com/v1"},
         {"kind", "Job"},
         {"metadata", {{"name", "penstock-" + workload.name}}},
         {"spec",
          {{"template",
            {{"metadata", {{"annotations", annotations}}},
             {"spec",
              {{"taskCount", workload.shards}, {"parallelism", workload.shards}, {"template", {{"spec", task}}}}}}}}}});
}

std::string cloud_service(const Deployment& deployment) {
    auto container =
        cloud_container(deployment, {"serve", "--listen", "0.0.0.0:8080", "--workers", "2", "--grace-period", "8"});
    container["resources"]["limits"]["memory"] = cloud_memory(deployment.memory_bytes, 2);
    container["ports"] = Json::array({{{"name", "http1"}, {"containerPort", 8080}}});
    for (auto [probe, seconds, failures] : {std::tuple{"startupProbe", 2, 30}, std::tuple{"livenessProbe", 30, 4}})
        container[probe] = {{"httpGet", {{"path", "/healthz"}, {"port", 8080}}},
                            {"periodSeconds", seconds},
                            {"timeoutSeconds", 2},
                            {"failureThreshold", failures}};
    Json pod = {{"serviceAccountName", account(deployment.project, "runner")},
                {"containerConcurrency", 40},
                {"timeoutSeconds", 600}};
    add_mounts(deployment, container, pod);
    // The scheduler works between requests: one instance is always there, with its processor.
    Json annotations = {{"autoscaling.knative.dev/minScale", "1"},
                        {"autoscaling.knative.dev/maxScale", "3"},
                        {"run.googleapis.com/cpu-throttling", "false"},
                        {"run.googleapis.com/execution-environment", "gen2"}};
    Json outer = {{"run.googleapis.com/ingress", "internal-and-cloud-load-balancing"}};
    return yaml_text({{"apiVersion", "serving.knative.dev/v1"},
                      {"kind", "Service"},
                      {"metadata", {{"name", "penstock"}, {"annotations", outer}}},
                      {"spec", {{"template", {{"metadata", {{"annotations", annotations}}}, {"spec", pod}}}}}});
}

std::string secrets_script(const Deployment& deployment) {
    std::string text =
        "# Values come from you: gcloud secrets versions add NAME --data-file=- reads one from its input.\n"
        "secrets=(";
    std::string sep;
    auto add = [&](const std::string& name) { text += sep + name, sep = " "; };
    if (mounts_configuration(deployment)) add("penstock-config");
    for (const auto& name : deployment.secrets()) add(name);
    return text + ")\n";
}

constexpr std::string_view script_head = R"(#!/usr/bin/env bash
# Written by `penstock export cloudrun`: change the configuration and export it again, not this file.
# Makes what it begins: accounts, secrets, jobs, their times. What is there already stays, and jobs are replaced.
#   REGION=us-central1 ./deploy.sh penstock.yaml
set -euo pipefail
region=${REGION:?the region}
)";

constexpr std::string_view script_accounts = R"(
for name in runner starter; do
  gcloud iam service-accounts describe "penstock-$name@$project.iam.gserviceaccount.com" --project "$project" >/dev/null 2>&1 ||
    gcloud iam service-accounts create "penstock-$name" --project "$project"
done
for secret in "${secrets[@]}"; do
  gcloud secrets describe "$secret" --project "$project" >/dev/null 2>&1 ||
    gcloud secrets create "$secret" --project "$project" --replication-policy automatic
  gcloud secrets add-iam-policy-binding "$secret" --project "$project" \
    --member "serviceAccount:penstock-runner@$project.iam.gserviceaccount.com" --role roles/secretmanager.secretAccessor >/dev/null
done
)";

constexpr std::string_view script_schedule = R"(
# NAME SCHEDULE ZONE: a job of Cloud Scheduler, as an account that may begin that job and nothing else.
begin() {
  gcloud run jobs add-iam-policy-binding "$1" --project "$project" --region "$region" \
    --member "serviceAccount:penstock-starter@$project.iam.gserviceaccount.com" --role roles/run.invoker >/dev/null
  local verb=create
  if gcloud scheduler jobs describe "$1" --project "$project" --location "$region" >/dev/null 2>&1; then verb=update; fi
  gcloud scheduler jobs "$verb" http "$1" --project "$project" --location "$region" \
    --schedule "$2" --time-zone "$3" --attempt-deadline 60s --max-retry-attempts 2 \
    --uri "https://run.googleapis.com/v2/projects/$project/locations/$region/jobs/$1:run" \
    --http-method POST --oauth-service-account-email "penstock-starter@$project.iam.gserviceaccount.com"
}
)";

std::string deploy_script(const Deployment& deployment) {
    std::string text(script_head);
    text += fmt::format("project={}\n\n{}", deployment.project, secrets_script(deployment));
    text += script_accounts;
    if (mounts_configuration(deployment))
        text +=
            "gcloud secrets versions add penstock-config --project \"$project\" --data-file \"${1:?the "
            "configuration}\"\n";
    text += "\nhere=$(dirname \"${BASH_SOURCE[0]}\")\n";
    if (deployment.serve)
        text += "gcloud run services replace \"$here/service.yaml\" --project \"$project\" --region \"$region\"\n";
    for (const auto& one : deployment.workloads)
        text += fmt::format(
            "gcloud run jobs replace \"$here/job-{}.yaml\" --project \"$project\" --region \"$region\"\n", one.name);
    bool timed = std::ranges::any_of(deployment.workloads, [](const auto& one) { return !one.cron.empty(); });
    if (timed) text += script_schedule;
    for (const auto& one : deployment.workloads)
        if (!one.cron.empty())
            text += fmt::format("begin penstock-{} '{}' {}\n", one.name, one.cron,
                                one.timezone == "UTC" ? "Etc/UTC" : one.timezone);
    return text;
}

std::string cloud_heading(const Deployment& deployment) {
    std::string text =
        "# Written by `penstock export cloudrun`: change the configuration and export it again, not this file.\n";
    text += deployment.notes();
    if (auto names = deployment.optional_variables(); !names.empty())
        text +=
            fmt::format("# Variables that have a default, which these files leave them: {}\n", fmt::join(names, ", "));
    if (mounts_configuration(deployment)) return text;
    text += "# The image has the configuration in /etc/penstock, and what it refers to:";
    for (const auto& file : deployment.files)
        if (!file.secret) text += " " + file.path;
    return text + "\n";
}

}  // namespace

Result<std::vector<ExportedFile>> cloudrun_files(const Deployment& deployment) {
    if (deployment.project.empty())
        return fail({.kind = ErrorKind::usage,
                     .code = "no_project",
                     .message = "which project of Google Cloud? The configuration names none",
                     .hint = "name it: --project my-project"});
    PN_CHECK(check_mounts(deployment));
    std::vector<ExportedFile> files;
    auto heading = cloud_heading(deployment);
    if (deployment.serve) files.push_back({"service.yaml", heading + cloud_service(deployment)});
    for (const auto& workload : deployment.workloads) {
        if (workload.kind == Workload::Kind::followed)
            return fail({.kind = ErrorKind::configuration,
                         .code = "not_exported",
                         .message = fmt::format("{} follows its stream, and Cloud Run stops what answers no requests",
                                                fmt::join(workload.pipelines, ", ")),
                         .hint = "drain it: run: drain, and a schedule"});
        files.push_back({fmt::format("job-{}.yaml", workload.name), heading + cloud_job(deployment, workload)});
    }
    files.push_back({"deploy.sh", deploy_script(deployment)});
    return files;
}

}  // namespace penstock::app
