#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connect/bigquery/options.h"
#include "connect/bigquery/sql.h"

namespace penstock::bigquery {

/// By what rows come.
enum class ReadBy { automatic, storage, rest };

/// `source:` of a pipeline that reads tables or a query.
struct SourceOptions : config::SourceOptions {
    config::Text table;
    std::vector<config::Text> tables;
    std::vector<config::Text> exclude;
    config::Text query;
    config::Text where;
    std::vector<config::Text> columns;
    config::Text cursor;
    config::Text cursor_lag;
    std::optional<int64_t> batch_rows;
    ReadBy read = ReadBy::automatic;
};

const config::Spec<SourceOptions>& source_spec();

/// The source's options; a `query:` that names a file (*.sql) is replaced by its content.
Result<SourceOptions> parse_source(const config::Node& node);

/// "dataset.table" or "project.dataset.table"; a name without project is of `project`. Nothing where it is neither.
std::optional<TableId> table_id(const std::string& project, std::string_view dotted);

}  // namespace penstock::bigquery
