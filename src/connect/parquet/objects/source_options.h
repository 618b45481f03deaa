#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "config/pipeline.h"
#include "connect/parquet/objects/glob.h"
#include "flow/component.h"

namespace penstock::parquet {

enum class ObjectFormat { ndjson, json, csv, parquet };

/// What becomes of an object that is another one than was taken under its name.
enum class WhenChanged { stop, warn, load };

/// `source:` of a pipeline that reads files or objects.
struct SourceOptions : config::SourceOptions {
    config::Text files;
    std::vector<config::Text> exclude;
    std::optional<ObjectFormat> format;
    config::Text table;
    config::FilePath schema;
    config::Text cursor;
    config::UnknownFields unknown_fields = config::UnknownFields::reject;
    std::vector<config::Text> required;
    config::Bytes max_bytes{uint64_t{1} << 20};
    config::Text delimiter{.value = ","};
    std::optional<bool> header;
    config::Text null_text;
    WhenChanged changed = WhenChanged::stop;
    std::chrono::microseconds settle = std::chrono::seconds(2);
    std::chrono::microseconds poll = std::chrono::seconds(5);
    int64_t remember = 10'000;

    /// As told, or by the extension of `files`.
    ObjectFormat objects() const;
    bool has_header() const { return header.value_or(true); }
    /// The table as a route that takes everything.
    config::RouteTo route() const;
};

const config::Spec<SourceOptions>& source_spec();

}  // namespace penstock::parquet
