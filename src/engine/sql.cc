#include "engine/sql.h"

#include <fmt/format.h>

namespace penstock::engine {
namespace {

std::string quote(std::string_view text, char mark) {
    std::string out;
    out.reserve(text.size() + 2);
    out += mark;
    for (char c : text) {
        if (c == mark) out += mark;
        out += c;
    }
    out += mark;
    return out;
}

}  // namespace

std::string quote_identifier(std::string_view name) { return quote(name, '"'); }
std::string quote_literal(std::string_view text) { return quote(text, '\''); }

TableName TableName::parse(std::string_view dotted) {
    auto dot = dotted.find('.');
    if (dot == dotted.npos) return {.table = std::string(dotted)};
    return {.schema = std::string(dotted.substr(0, dot)), .table = std::string(dotted.substr(dot + 1))};
}

std::string quote_list(const std::vector<std::string>& names, std::string_view prefix) {
    std::string out;
    for (const auto& name : names) {
        if (!out.empty()) out += ", ";
        out += prefix;
        out += quote_identifier(name);
    }
    return out;
}

std::string reject_columns(bool payload) {
    return fmt::format(
        "id, pipeline, run_id, \"table\", route, source_position, \"key\", \"column\", code, reason, {}, "
        "epoch_us(received_at), epoch_us(replayed_at), epoch_us(discarded_at)",
        payload ? "payload" : "NULL::VARCHAR");
}

}  // namespace penstock::engine
