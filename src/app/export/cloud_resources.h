#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::app {

/// What of Google Cloud a configuration names. What it names only when it runs (`${…}`, `{…}`) is told of instead.
struct CloudResources {
    struct Named {
        std::set<std::string> names;
        std::set<std::string> open;  ///< "billing: {client.destination_dataset}"
        bool empty() const { return names.empty() && open.empty(); }
    };
    Named subscriptions;     ///< that are read
    Named topics;            ///< that are published to
    Named written_datasets;  ///< bookkeeping among them
    Named read_datasets;     ///< and not written
    Named buckets;           ///< that are read, or written
    std::string location;    ///< of the datasets; "" where none is named
    std::string project;     ///< the first that is named; ""
    bool queries = false;    ///< something is read from BigQuery, or written to it
    double daily_usd = 0;    ///< what all pipelines' budgets allow a day; 0: none has one
};

/// `written` is the configuration before its references were resolved.
CloudResources cloud_resources(const config::Document& document, const config::Node& written);

}  // namespace penstock::app
