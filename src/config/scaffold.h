#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/catalog.h"
#include "config/node.h"

namespace penstock::config {

/// The values `init` knows, by option. An option with a value is written as it is; a required one without is written with its
/// example; every other one stands in a comment, ready to be uncommented.
using Given = std::vector<std::pair<std::string, Node>>;

struct ScaffoldConnection {
    std::string name;
    const ComponentSpecs* component;
    Given given;  ///< without `type`
};

struct ScaffoldPipeline {
    std::string name;
    std::string source_connection;  ///< one of the connections
    Given source;
    std::string target_connection;
    Given target;
    Given given = {};  ///< of the pipeline itself: schedule, memory, …
};

/// The options of one spec as commented YAML, `indent` spaces from the left.
std::string scaffold_options(const SpecBase& spec, const Given& given, int indent);

/// A commented penstock.yaml. It loads as it stands when everything required is given or has an example.
std::string scaffold_document(const std::vector<ScaffoldConnection>& connections,
                              const std::vector<ScaffoldPipeline>& pipelines);

}  // namespace penstock::config
