#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/export/exported_file.h"
#include "app/export/yaml_text.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* secret_files = "penstock-files";
/// Of the pod's fsGroup: libpq takes no private key that all can read.
constexpr int read_by_group = 0440;

Json labels(std::string_view component) {
    return {{"app.kubernetes.io/name", "penstock"}, {"app.kubernetes.io/component", component}};
}

Json metadata(std::string_view name, std::string_view component) {
    return {{"name", name}, {"labels", labels(component)}};
}

std::string mebibytes(uint64_t bytes) { return fmt::format("{}Mi", (bytes + (1 << 20) - 1) >> 20); }

/// Beyond a pipeline's own budget there are the program, its libraries and what they buffer.
Json resources(uint64_t budget, int64_t at_once) {
    auto wanted = (uint64_t{256} << 20) + budget * static_cast<uint64_t>(at_once);
    return {{"requests", {{"cpu", "500m"}, {"memory", mebibytes(wanted)}, {"ephemeral-storage", "1Gi"}}},
            {"limits", {{"memory", mebibytes(wanted + wanted / 2)}, {"ephemeral-storage", "5Gi"}}}};
}

/// A file by its place below a folder.
Json item(const WantedFile& file, const std::string& path) { return {{"key", file.key}, {"path", path}}; }

/// The configuration with the files beside it, then secret files by the absolute folders that they are in, then room to spill.
struct Mounts {
    Json volumes = Json::array();
    Json mounts = Json::array();
};

Mounts mounts_of(const Deployment& deployment, const std::string& map) {
    Json plain = {{{"key", "penstock.yaml"}, {"path", "penstock.yaml"}}};
    Json secret = Json::array();
    std::map<std::string, Json> folders;
    for (const auto& file : deployment.files) {
        if (auto path = file.beside(); !path.empty()) (file.secret ? secret : plain).push_back(item(file, path));
        else
            folders[file.path.substr(0, file.path.rfind('/'))].push_back(
                item(file, file.path.substr(file.path.rfind('/') + 1)));
    }
    Json sources = {{{"configMap", {{"name", map}, {"items", plain}}}}};
    if (!secret.empty()) sources.push_back({{"secret", {{"name", secret_files}, {"items", secret}}}});
    Mounts made;
    made.volumes.push_back(
        {{"name", "configuration"}, {"projected", {{"defaultMode", read_by_group}, {"sources", sources}}}});
    made.mounts.push_back({{"name", "configuration"}, {"mountPath", configuration_folder}, {"readOnly", true}});
    for (const auto& [folder, items] : folders) {
        auto name = fmt::format("files-{}", made.volumes.size());
        made.volumes.push_back(
            {{"name", name},
             {"secret", {{"secretName", secret_files}, {"defaultMode", read_by_group}, {"items", items}}}});
        made.mounts.push_back({{"name", name}, {"mountPath", folder}, {"readOnly", true}});
    }
    made.volumes.push_back({{"name", "scratch"}, {"emptyDir", {{"sizeLimit", "4Gi"}}}});
    made.mounts.push_back({{"name", "scratch"}, {"mountPath", "/tmp"}});
    made.mounts.push_back({{"name", "scratch"}, {"mountPath", "/var/lib/penstock"}, {"subPath", "work"}});
    return made;
}

Json environment(const Deployment& deployment) {
    Json all = Json::array();
    for (const auto& one : deployment.variables) {
        Json key = {{"name", "penstock"}, {"key", one.name}};
        if (!one.required) key["optional"] = true;
        all.push_back({{"name", one.name}, {"valueFrom", {{"secretKeyRef", key}}}});
    }
    return all;
}

Json pod(const Deployment& deployment, const std::string& map, Json container) {
    auto mounts = mounts_of(deployment, map);
    container["env"] = environment(deployment);
    container["securityContext"] = {
        {"allowPrivilegeEscalation", false}, {"readOnlyRootFilesystem", true}, {"capabilities", {{"drop", {"ALL"}}}}};
    container["volumeMounts"] = mounts.mounts;
    return {{"serviceAccountName", "penstock"},
            {"automountServiceAccountToken", false},
            {"enableServiceLinks", false},
            {"terminationGracePeriodSeconds", 45},
            {"securityContext",
             {{"runAsNonRoot", true},
              {"runAsUser", 65532},
              {"runAsGroup", 65532},
              {"fsGroup", 65532},
              {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
            {"containers", {std::move(container)}},
            {"volumes", mounts.volumes}};
}

Json run_container(const Deployment& deployment, const Workload& workload) {
    return {{"name", "penstock"},
            {"image", deployment.image},
            {"args", workload.arguments()},
            {"resources", resources(workload.memory_bytes, 1)}};
}

/// Between two tries Kubernetes waits for up to six minutes.
constexpr int64_t retry_pause = 360;

Json job_spec(const Deployment& deployment, const Workload& workload, const std::string& map) {
    auto inner = pod(deployment, map, run_container(deployment, workload));
    inner["restartPolicy"] = "Never";
    Json spec = Json::object();
    if (workload.timeout)
        spec["activeDeadlineSeconds"] = (workload.timeout->count() + retry_pause) * (1 + workload.retries);
    if (workload.shards > 1) {
        spec["completionMode"] = "Indexed";
        spec["completions"] = workload.shards;
        spec["parallelism"] = workload.shards;
        // Each index has tries of its own, so that one bad node does not use up those of all.
        spec["backoffLimitPerIndex"] = workload.retries;
    } else {
        spec["backoffLimit"] = workload.retries;
    }
    // 2 is a mistake in the configuration, 3 a check that found something, 4 a budget that is spent: another try mends none.
    spec["podFailurePolicy"]["rules"] = {
        {{"action", "FailJob"},
         {"onExitCodes", {{"containerName", "penstock"}, {"operator", "In"}, {"values", {2, 3, 4}}}}},
        {{"action", "Ignore"}, {"onPodConditions", {{{"type", "DisruptionTarget"}, {"status", "True"}}}}}};
    spec["template"] = {{"metadata", {{"labels", labels("run")}}}, {"spec", inner}};
    return spec;
}

Json deployed(const Deployment& deployment, std::string_view name, std::string_view component, int replicas,
              const std::string& map, Json container) {
    Json selector = labels(component);
    selector["app.kubernetes.io/instance"] = name;
    Json outer = metadata(name, component);
    outer["labels"] = selector;
    return {
        {"apiVersion", "apps/v1"},
        {"kind", "Deployment"},
        {"metadata", outer},
        {"spec",
         {{"replicas", replicas},
          {"selector", {{"matchLabels", selector}}},
          {"template", {{"metadata", {{"labels", selector}}}, {"spec", pod(deployment, map, std::move(container))}}}}}};
}

void add_serve(const Deployment& deployment, const std::string& map, std::vector<Json>& all) {
    auto get = [](std::string_view path) { return Json{{"httpGet", {{"path", path}, {"port", "http"}}}}; };
    Json container = {{"name", "penstock"},
                      {"image", deployment.image},
                      {"args", {"serve", "--listen", "0.0.0.0:8080", "--workers", "2", "--grace-period", "25"}},
                      {"ports", {{{"name", "http"}, {"containerPort", 8080}}}},
                      {"startupProbe", get("/healthz")},
                      {"livenessProbe", get("/healthz")},
                      {"readinessProbe", get("/readyz")},
                      {"resources", resources(deployment.memory_bytes, 2)}};
    container["startupProbe"].update({{"periodSeconds", 2}, {"failureThreshold", 30}});
    container["livenessProbe"].update({{"periodSeconds", 15}, {"timeoutSeconds", 5}, {"failureThreshold", 4}});
    container["readinessProbe"].update({{"periodSeconds", 10}, {"timeoutSeconds", 8}});
    auto made = deployed(deployment, "penstock", "serve", 2, map, std::move(container));
    auto selector = made["spec"]["selector"]["matchLabels"];
    all.push_back(std::move(made));
    all.push_back({{"apiVersion", "v1"},
                   {"kind", "Service"},
                   {"metadata", metadata("penstock", "serve")},
                   {"spec",
                    {{"type", "ClusterIP"},
                     {"selector", selector},
                     {"ports", {{{"name", "http"}, {"port", 80}, {"targetPort", "http"}}}}}}});
    all.push_back({{"apiVersion", "policy/v1"},
                   {"kind", "PodDisruptionBudget"},
                   {"metadata", metadata("penstock", "serve")},
                   {"spec", {{"minAvailable", 1}, {"selector", {{"matchLabels", selector}}}}}});
}

Json workload_object(const Deployment& deployment, const Workload& workload, const std::string& map) {
    if (workload.kind == Workload::Kind::followed)
        return deployed(deployment, workload.name, "follow", workload.shards, map, run_container(deployment, workload));
    auto job = job_spec(deployment, workload, map);
    if (workload.kind == Workload::Kind::by_hand)
        return {{"apiVersion", "batch/v1"},
                {"kind", "Job"},
                {"metadata", metadata(workload.name, "run")},
                {"spec", std::move(job)}};
    return {{"apiVersion", "batch/v1"},
            {"kind", "CronJob"},
            {"metadata", metadata(workload.name, "run")},
            {"spec",
             {{"schedule", workload.cron},
              {"timeZone", workload.timezone == "UTC" ? "Etc/UTC" : workload.timezone},
              {"concurrencyPolicy", "Forbid"},
              {"startingDeadlineSeconds", 300},
              {"successfulJobsHistoryLimit", 2},
              {"failedJobsHistoryLimit", 5},
              {"jobTemplate", {{"spec", std::move(job)}}}}}};
}

Json config_map(const Deployment& deployment, const std::string& name) {
    Json data = {{"penstock.yaml", deployment.configuration}};
    for (const auto& file : deployment.files)
        if (!file.secret) data[file.key] = file.text;
    Json made = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", metadata(name, "configuration")}};
    made["immutable"] = true;  // another configuration has another name, so that pods are made anew
    made["data"] = data;
    return made;
}

/// From nobody but what comes to the port of `serve`.
Json network_policy(const Deployment& deployment) {
    Json ingress = Json::array();
    if (deployment.serve) ingress.push_back({{"ports", {{{"port", "http"}, {"protocol", "TCP"}}}}});
    return {{"apiVersion", "networking.k8s.io/v1"},
            {"kind", "NetworkPolicy"},
            {"metadata", metadata("penstock", "network")},
            {"spec",
             {{"podSelector", {{"matchLabels", {{"app.kubernetes.io/name", "penstock"}}}}},
              {"policyTypes", {"Ingress"}},
              {"ingress", ingress}}}};
}

std::string heading(const Deployment& deployment) {
    std::string text =
        "# Written by `penstock export kubernetes`: change the configuration and export it again, not this file.\n";
    std::string secret, files;
    for (const auto& one : deployment.variables)
        secret += fmt::format(" {}--from-literal={}=…{}", one.required ? "" : "[", one.name, one.required ? "" : "]");
    for (const auto& one : deployment.files)
        if (one.secret) files += fmt::format(" --from-file={}={}", one.key, one.path);
    if (!secret.empty() || !files.empty()) text += "# Before it is applied, its secrets have to be there:\n";
    if (!secret.empty()) text += fmt::format("#   kubectl create secret generic penstock{}\n", secret);
    if (!files.empty()) text += fmt::format("#   kubectl create secret generic {}{}\n", secret_files, files);
    return text + deployment.notes();
}

}  // namespace

ExportedFile kubernetes_file(const Deployment& deployment) {
    auto map = "penstock-" + deployment.digest;
    std::vector<Json> all = {{{"apiVersion", "v1"},
                              {"kind", "ServiceAccount"},
                              {"metadata", metadata("penstock", "identity")},
                              {"automountServiceAccountToken", false}},
                             config_map(deployment, map),
                             network_policy(deployment)};
    if (deployment.serve) add_serve(deployment, map, all);
    for (const auto& workload : deployment.workloads) all.push_back(workload_object(deployment, workload, map));
    std::string text = heading(deployment);
    for (const auto& one : all) text += "---\n" + yaml_text(one);
    return {.name = "penstock-kubernetes.yaml", .text = std::move(text)};
}

}  // namespace penstock::app
