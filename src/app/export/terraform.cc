#include <fmt/format.h>

#include <cmath>

#include "app/export/cloud_resources.h"
#include "app/export/exported_file.h"
#include "app/export/terraform_texts.h"

namespace penstock::app {
namespace {

constexpr std::string_view written_by =
    "# Written by `penstock export terraform`: change the configuration and export it again, not this file.\n";

std::string hcl(std::string_view text) {
    std::string out = "\"";
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '"' || c == '\\') out += '\\';
        out += c;
        bool begins_template = (c == '$' || c == '%') && i + 1 < text.size() && text[i + 1] == '{';
        if (begins_template) out += c;
    }
    return out + '"';
}

std::string hcl_set(const std::set<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += fmt::format("{}{}", out.empty() ? "" : ", ", hcl(name));
    return fmt::format("toset([{}])", out);
}

/// A local set of names; what is known only at run time is asked for.
struct SetOf {
    std::string_view name;  ///< of the local, and behind more_ of the variable
    std::string_view what;
    const CloudResources::Named& named;

    std::string local() const {
        auto known = hcl_set(named.names);
        return fmt::format("  {} = {}\n", name,
                           named.open.empty() ? known : fmt::format("setunion({}, var.more_{})", known, name));
    }
    std::string variable() const {
        if (named.open.empty()) return "";
        std::string open;
        for (const auto& one : named.open) open += fmt::format("{}{}", open.empty() ? "" : "; ", one);
        return fmt::format(
            "\nvariable \"more_{}\" {{\n  description = {}\n  type        = set(string)\n}}\n", name,
            hcl(fmt::format("{}, that the configuration knows only when it runs ({}). [] where there are none.", what,
                            open)));
    }
};

/// backend-events-topic-sub reads backend-events-topic.
std::string topic_of_subscription(const std::string& name) {
    return name.ends_with("-sub") && name.size() > 4 ? name.substr(0, name.size() - 4) : name + "-topic";
}

std::string pubsub_file(const CloudResources& resources, const SetOf& subscriptions, const SetOf& topics) {
    std::string text(written_by);
    text += "locals {\n";
    if (!resources.subscriptions.empty()) {
        text += subscriptions.local();
        text += "  # What each reads: change it where your topics have other names.\n  topic_of = {\n";
        for (const auto& name : resources.subscriptions.names)
            text += fmt::format("    {} = {}\n", hcl(name), hcl(topic_of_subscription(name)));
        text += "  }\n";
    }
    if (!resources.topics.empty()) text += topics.local();
    // One topic may be read by several, and be published to.
    std::string read = resources.subscriptions.empty()
                           ? ""
                           : "[for name in local.subscriptions : lookup(local.topic_of, name, \"${name}-topic\")]";
    text += fmt::format("  all_topics = toset(concat({}{}{}))\n", read,
                        read.empty() || resources.topics.empty() ? "" : ", ",
                        resources.topics.empty() ? "" : "tolist(local.topics)");
    text += "}\n";
    text += terraform_topics;
    if (!resources.subscriptions.empty()) text += terraform_subscriptions;
    return text;
}

std::string identities_file(const CloudResources& resources, const std::vector<SetOf>& sets) {
    std::string text(written_by);
    std::string locals;
    for (const auto& set : sets)
        if ((set.name == "buckets" || set.name == "read_datasets") && !set.named.empty()) locals += set.local();
    text += fmt::format("locals {{\n  runner = \"serviceAccount:${{google_service_account.runner.email}}\"\n{}}}\n",
                        locals);
    text += terraform_account;
    if (resources.queries) text += terraform_queries;
    if (!resources.written_datasets.empty()) text += terraform_writes_datasets;
    if (!resources.read_datasets.empty()) text += terraform_reads_datasets;
    if (!resources.subscriptions.empty()) text += terraform_reads_subscriptions;
    if (!resources.topics.empty()) text += terraform_publishes;
    if (!resources.buckets.empty()) text += terraform_uses_buckets;
    return text;
}

std::string secrets_file(const Deployment& deployment) {
    std::set<std::string> names = {"penstock-config"};
    for (auto& name : deployment.secrets()) names.insert(std::move(name));
    return fmt::format(
        "{}# Their values come from you: gcloud secrets versions add NAME --data-file=- reads one from its input.\n"
        "locals {{\n  secrets = {}\n}}\n{}",
        written_by, hcl_set(names), terraform_secrets);
}

std::string variables_file(const CloudResources& resources, const Deployment& deployment,
                           const std::vector<SetOf>& sets) {
    auto text = fmt::format(
        "{}variable \"project_id\" {{\n  description = \"The project, which exists.\"\n  type        = string\n",
        written_by);
    auto project = deployment.project.empty() ? resources.project : deployment.project;
    if (!project.empty()) text += fmt::format("  default     = {}\n", hcl(project));
    text += "}\n";
    text += terraform_region;
    if (!resources.written_datasets.empty())
        text += fmt::format(terraform_location, hcl(resources.location.empty() ? "US" : resources.location));
    for (const auto& set : sets) text += set.variable();
    if (resources.daily_usd > 0)
        text += fmt::format(terraform_budget_variables, static_cast<int64_t>(std::ceil(resources.daily_usd * 31)));
    return text;
}

}  // namespace

std::vector<ExportedFile> terraform_files(const Deployment& deployment, const CloudResources& resources) {
    const SetOf subscriptions{"subscriptions", "Subscriptions that are read", resources.subscriptions};
    const SetOf topics{"topics", "Topics that are published to", resources.topics};
    const SetOf written{"datasets", "Datasets that are written", resources.written_datasets};
    const SetOf read{"read_datasets", "Datasets that are read, and made by others", resources.read_datasets};
    const SetOf buckets{"buckets", "Buckets", resources.buckets};
    const std::vector<SetOf> sets = {subscriptions, topics, written, read, buckets};
    std::vector<ExportedFile> files = {{"versions.tf", fmt::format("{}{}", written_by, terraform_versions)},
                                       {"variables.tf", variables_file(resources, deployment, sets)},
                                       {"identities.tf", identities_file(resources, sets)},
                                       {"secrets.tf", secrets_file(deployment)}};
    if (!resources.subscriptions.empty() || !resources.topics.empty())
        files.push_back({"pubsub.tf", pubsub_file(resources, subscriptions, topics)});
    if (!resources.written_datasets.empty())
        files.push_back(
            {"bigquery.tf", fmt::format("{}locals {{\n{}}}\n{}", written_by, written.local(), terraform_datasets)});
    if (resources.daily_usd > 0) files.push_back({"budget.tf", fmt::format("{}{}", written_by, terraform_budget)});
    return files;
}

}  // namespace penstock::app
