#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/pipeline.h"
#include "config/route.h"
#include "config/values.h"
#include "transform/events/event_table.h"

namespace penstock::http_api {

/// How an API says where the next page is.
enum class PagingBy { none, page, offset, token, link, url, record };

struct PagingOptions {
    PagingBy by = PagingBy::none;
    config::Text param;
    std::optional<int64_t> first;
    std::optional<int64_t> size;
    config::Text size_param;
    config::Text next;
    config::Text more;
    config::Text total;
    bool short_page_ends = false;
    std::vector<int64_t> end_status;
    int64_t max_pages = 1'000'000;
};

/// How the cursor's value is written into a request.
enum class CursorFormat { iso, date, seconds, milliseconds };

/// `source:` of a pipeline that reads an API.
struct SourceOptions : config::SourceOptions {
    config::Text path;
    std::map<std::string, std::string> params;
    config::Text records;
    bool records_may_be_missing = false;
    config::FilePath schema;
    config::Text table;
    config::UnknownFields unknown_fields = config::UnknownFields::reject;
    std::vector<config::Text> required;
    std::map<std::string, std::vector<std::string>> accepted_values;
    PagingOptions paging;
    config::Text cursor;
    config::Text cursor_param;
    config::Text cursor_start;
    config::Text cursor_lag;
    CursorFormat cursor_format = CursorFormat::iso;
};

const config::Spec<SourceOptions>& source_spec();

/// The columns that the options' schema has. Reads its file.
Result<events::EventTable> table_of(const SourceOptions& options);

}  // namespace penstock::http_api
