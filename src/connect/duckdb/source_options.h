#pragma once

#include <vector>

#include "config/pipeline.h"
#include "config/spec.h"

namespace penstock::duckdb {

/// `source:` of a pipeline that reads tables or a query.
struct SourceOptions : config::SourceOptions {
    config::Text table;
    std::vector<config::Text> tables;
    std::vector<config::Text> exclude;
    config::Text query;
    config::Text where;
    config::Text cursor;
    config::Text cursor_lag;
};

const config::Spec<SourceOptions>& source_spec();

/// The source's options; a `query:` that names a file (*.sql) is replaced by its content.
Result<SourceOptions> parse_source(const config::Node& node);

}  // namespace penstock::duckdb
