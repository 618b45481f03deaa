#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "app/export/groups.h"
#include "app/export/wants.h"
#include "app/options.h"

namespace penstock::app {

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
    std::optional<std::chrono::seconds> timeout;  ///< of one try, where each of its pipelines has one

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
    /// Variables that it can do without.
    std::vector<std::string> optional_variables() const;
    /// What whoever uses it has to know, as lines of comment.
    std::string notes() const;
};

/// What a configuration wants of its surroundings; no workloads. `written` is the configuration before its references were resolved.
Result<Deployment> wants_of(const config::Document& document, const config::Node& written, const Options& options);
/// With workloads. Errors: what containers cannot do, as targets on their disk.
Result<Deployment> deployment_of(const config::Document& document, const config::Node& written, const Options& options);

/// A name with what a DNS label may have: lower-case letters, digits and -, at most `most` of them.
std::string dns_label(std::string_view name, size_t most = 52);

/// SHOP_URL -> penstock-shop-url: what the secret of a variable or file is called.
std::string secret_name(std::string_view what);

}  // namespace penstock::app
