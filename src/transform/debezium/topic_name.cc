#include <fmt/format.h>

#include "transform/debezium/envelope.h"

namespace penstock::debezium {
namespace {

std::string topic_safe(std::string text) {
    for (char& c : text) {
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == '-';
        if (!good) c = '_';
    }
    return text;
}

}  // namespace

TableParts parts_of(const flow::TableInfo& info) {
    auto dot = info.name.find('.');
    if (dot == info.name.npos) return {.schema = "", .table = info.name};
    return {.schema = info.name.substr(0, dot), .table = info.name.substr(dot + 1)};
}

Result<std::string> topic_name(std::string_view pattern, std::string_view server, const flow::TableInfo& info) {
    auto parts = parts_of(info);
    std::string out;
    for (size_t at = 0; at < pattern.size();) {
        if (pattern[at] != '{') {
            out += pattern[at++];
            continue;
        }
        auto end = pattern.find('}', at);
        auto word = pattern.substr(at, end == pattern.npos ? end : end - at + 1);
        if (word == "{server}") out += server;
        else if (word == "{schema}") out += parts.schema;
        else if (word == "{table}") out += parts.table;
        else if (word == "{database}") out += info.database;
        else
            return fail({.kind = ErrorKind::configuration,
                         .code = "unknown_placeholder",
                         .message = fmt::format("topic \"{}\" has {}, which stands for nothing", pattern, word),
                         .hint = "known are {server}, {database}, {schema} and {table}"});
        at += word.size();
    }
    return topic_safe(std::move(out));
}

}  // namespace penstock::debezium
