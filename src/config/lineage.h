#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/secret.h"
#include "config/spec.h"
#include "config/values.h"

namespace penstock::config {

/// `lineage`: who is told by OpenLineage's events what runs read and write.
struct Lineage {
    Text url;  ///< of the server; empty: `file` is given
    Text endpoint{.value = "/api/v1/lineage"};
    Secret token;
    std::map<std::string, Secret> headers;
    FilePath ca;
    std::chrono::microseconds timeout = std::chrono::seconds(5);
    FilePath file;
    Text name_space{.value = "default"};
};

const Spec<Lineage>& lineage_spec();

}  // namespace penstock::config
