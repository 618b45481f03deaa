#include "app/export/command_line.h"

#include <CLI/CLI.hpp>

namespace penstock::app {

void declare_exports(CLI::App& program, Options& options) {
    auto* exports = program.add_subcommand("export", "Write the configuration in the form of other systems");
    exports->require_subcommand(1);
    auto* airflow =
        exports->add_subcommand("airflow", "Write DAGs for Airflow 3 that run the pipelines on their schedules");
    auto* kubernetes =
        exports->add_subcommand("kubernetes", "Write manifests: a CronJob for what is scheduled, or `serve`");
    auto* cloudrun = exports->add_subcommand("cloudrun", "Write jobs of Cloud Run and their times, or `serve`");
    auto* terraform = exports->add_subcommand(
        "terraform", "Write what the pipelines need of Google Cloud: topics, datasets, an account, secrets");
    for (auto* made : {airflow, kubernetes, cloudrun})
        made->add_option("--shards", options.shards, "Let N processes share this stream of events; may be repeated")
            ->type_name("PIPELINE=N");
    for (auto* made : {kubernetes, cloudrun}) {
        made->add_flag("--serve", options.serve, "Run `penstock serve`, which keeps the schedules itself");
        made->add_option("--image", options.image, "The program's image")->type_name("IMAGE")->capture_default_str();
    }
    for (auto* made : {cloudrun, terraform})
        made->add_option("--project", options.project, "The project of Google Cloud; without it, the connections'")
            ->type_name("PROJECT");
    for (auto* made : {airflow, kubernetes, cloudrun, terraform}) {
        made->add_option("--out", options.out, "A folder for the files; without it, one file goes to standard output")
            ->type_name("DIR");
        made->add_flag("--force", options.force, "Replace files that are there");
    }
}

}  // namespace penstock::app
