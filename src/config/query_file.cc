#include "config/query_file.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

namespace penstock::config {

Status read_query_file(Text& query) {
    bool names_file = query.value.ends_with(".sql") && query.value.find_first_of(" \n\t") == std::string::npos;
    if (!names_file) return {};
    std::ifstream file(relative_to_file(query.place, query.value));
    std::string text((std::istreambuf_iterator<char>(file)), {});
    if (!file || text.empty())
        return fail({.kind = ErrorKind::configuration,
                     .code = "query_file",
                     .message = fmt::format("the query's file {} cannot be read, or is empty", query.value),
                     .where = query.place.text(),
                     .hint = "paths are relative to the configuration file"});
    query.value = std::move(text);
    return {};
}

}  // namespace penstock::config
