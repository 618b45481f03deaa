#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/spec.h"
#include "config/values.h"

namespace penstock::config {

/// What pipelines that are work of another program have in common.
struct ProgramWork {
    std::map<std::string, Secret> env;  ///< over the environment of this process
    Text connection;                    ///< which the program writes; "" none that the scheduler should know of
    std::vector<int64_t> retry_on;      ///< exit codes after which `retries` has it try again
};

/// `command`: a program that is run.
struct CommandWork : ProgramWork {
    CommandWork() { retry_on = {75}; }
    std::vector<Text> run;  ///< the program and its arguments; no shell reads them
    FilePath folder;        ///< where it runs; empty: that of the configuration
};

/// `dbt`: a command of dbt in a project.
struct DbtWork : ProgramWork {
    FilePath project;
    FilePath profiles;  ///< the folder of profiles.yml; empty: where dbt looks for it
    Text target;
    std::string command = "build";
    std::vector<Text> select, exclude;
    Node vars;
    std::optional<int64_t> threads;
    Text program{.value = "dbt"};
};

const Spec<CommandWork>& command_spec();
const Spec<DbtWork>& dbt_spec();

/// A map that is checked and described by a spec, and kept as it is written: its placeholders are filled in before it is read.
template <class T>
Codec<Node> kept(const Spec<T>& spec) {
    return {spec.codec().shape,
            [&spec](const Node& node, Node& into, const Reading& reading) {
                into = node;
                T scratch;
                return spec.read(node, scratch, reading.diagnostics);
            },
            [](const Node& value) { return value; }};
}

}  // namespace penstock::config
