#pragma once

#include <string>
#include <vector>

#include "app/export/cloud_resources.h"
#include "app/export/deployment.h"

namespace penstock::app {

/// A file of an export; its name is relative to `--out`.
struct ExportedFile {
    std::string name;
    std::string text;
};

/// Manifests in one file: ServiceAccount, ConfigMap, and a CronJob, Job or Deployment for each workload, or `serve`. The
/// variables are keys of the Secret `penstock`, files that are secret those of `penstock-files`.
ExportedFile kubernetes_file(const Deployment& deployment);

/// A job or service a file, and a script that makes secrets, jobs and their schedules. Errors: what Cloud Run cannot mount.
Result<std::vector<ExportedFile>> cloudrun_files(const Deployment& deployment);

/// What the configuration needs of Google Cloud, beside what runs it: topics, subscriptions, dead letters, datasets, an account with
/// what it may do, secrets without values, a budget.
std::vector<ExportedFile> terraform_files(const Deployment& deployment, const CloudResources& resources);

}  // namespace penstock::app
