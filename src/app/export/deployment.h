#pragma once

#include <string>
#include <vector>

#include "app/export/groups.h"
#include "app/options.h"

namespace penstock::app {

/// What has to be given to a container beside its image.
struct WantedVariable {
    std::string name;
    bool required = false;  ///< `${NAME}`; false: `${NAME:-default}` everywhere
};

/// A file that the configuration refers to.
struct WantedFile {
    std::string path;  ///< as it is written: absolute, or relative to the configuration
    bool secret = false;
    std::string text;  ///< of one that is not secret
    /// As a key of a ConfigMap or Secret, unique among the files.
    std::string key() const;
    bool is_absolute() const { return path.starts_with('/'); }
};

/// Processes that run side by side, or one: a group on its schedule, a stream that is followed, one that several drain.
struct Workload {
    enum class Kind { scheduled, followed, by_hand };
    Kind kind = Kind::scheduled;
    std::string name;                    ///< of its first pipeline, as a DNS label
    std::vector<std::string> pipelines;  ///< in the order in which they run
    std::string cron;                    ///< of a scheduled one: five fields
    std::string timezone;
    int shards = 1;
    uint64_t memory_bytes = 0;  ///< the largest of its pipelines' budgets
    int64_t retries = 0;
    std::chrono::seconds timeout{3600};

    std::vector<std::string> arguments() const;  ///< of the program
};

/// A configuration as containers would run it: nothing in it is the value of a reference.
struct Deployment {
    std::string configuration;  ///< the file's text
    std::string digest;         ///< of that and of `files`, some letters
    std::string image;
    std::string project;  ///< of Google Cloud; "" where nothing names one
    std::vector<WantedVariable> variables;
    std::vector<WantedFile> files;
    bool serve = false;         ///< schedules, triggers and backups are the business of `penstock serve`
    uint64_t memory_bytes = 0;  ///< the largest budget of any pipeline
    std::vector<Workload> workloads;
    std::vector<std::string> idle;        ///< pipelines that nothing runs
    std::vector<std::string> open_files;  ///< credentials whose path is known only when it runs, as they are written

    /// What its secrets are called in a cloud's store: of the variables that it cannot do without, then of files.
    std::vector<std::string> secrets() const;
    /// What whoever uses it has to know, as lines of comment.
    std::string notes() const;
};

/// What a configuration wants of its surroundings; no workloads. `written` is the configuration before its references were resolved.
Result<Deployment> wants_of(const config::Document& document, const config::Node& written, const Options& options);
/// With workloads. Errors: what containers cannot do, as targets on their disk.
Result<Deployment> deployment_of(const config::Document& document, const config::Node& written, const Options& options);

/// The references of all texts below `node`, in their order, each variable once.
std::vector<WantedVariable> wanted_variables(const config::Node& node);

/// A name with what a DNS label may have: lower-case letters, digits and -, at most `most` of them.
std::string dns_label(std::string_view name, size_t most = 52);

/// SHOP_URL -> penstock-shop-url: what the secret of a variable or file is called.
std::string secret_name(std::string_view what);

}  // namespace penstock::app
