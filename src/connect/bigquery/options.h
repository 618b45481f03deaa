#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/error.h"
#include "config/pipeline.h"
#include "config/values.h"
#include "flow/source.h"

namespace penstock::bigquery {

/// `connections: {bq: {type: bigquery, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    config::Text project;
    config::Text location{.value = "US"};
    config::FilePath credentials;
    config::Text impersonate;
    config::Text endpoint{.value = "https://bigquery.googleapis.com"};
    config::Text storage_endpoint;
    config::FilePath ca;
    config::Text bookkeeping{.value = "penstock"};
    std::map<std::string, std::string> labels;
    std::chrono::microseconds timeout = std::chrono::minutes(2);
    std::chrono::microseconds retry_for = std::chrono::minutes(5);
    std::optional<config::Bytes> max_bytes_billed;
    double usd_per_tib = 6.25;
    double usd_per_tib_read = 1.1;
};

/// By what staged rows go into their table.
enum class Publish { load_job, storage_write };

struct TargetOptions : config::TableTargetOptions {
    Publish publish = Publish::load_job;
    double usd_per_gib_written = 0.025;
    std::chrono::microseconds commit_every = std::chrono::seconds(30);
};

const config::Spec<ConnectionOptions>& connection_spec();
const config::Spec<TargetOptions>& target_spec();

/// Where a source table goes, as dataset.table: `table`, with {schema} and {table} replaced, or its own name in `dataset`;
/// with neither, its own name, the schema being the dataset.
Result<std::string> target_name(const TargetOptions& options, const std::string& source_table);

/// A text as the value of a label: lower-case letters, digits, - and _, 63 of them at most; what had to be changed is told
/// apart by a few letters at its end.
std::string label_value(const std::string& text);

}  // namespace penstock::bigquery
