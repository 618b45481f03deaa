#include "connect/postgres/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace penstock::postgres {
namespace {

/// Rejects a statement; keeps its text well below what a server takes.
constexpr size_t rejects_a_statement = 500;

bool has_primary_key(const TableRead& read, const flow::RejectRecord& record) {
    auto key = nlohmann::json::parse(record.reject.key, nullptr, false);
    return read.query.empty() && !read.info.key.empty() && key.is_object() &&
           std::ranges::all_of(read.info.key, [&](const auto& column) { return key.contains(column); });
}

std::string primary_key(const TableRead& read, const flow::RejectRecord& record) {
    auto key = nlohmann::json::parse(record.reject.key);
    std::string out;
    for (const auto& column : read.info.key) out += key[column].dump() + ",";
    return out;
}

std::string shown_type(const TableRead& read, const std::string& column) {
    return read.info.schema.fields[static_cast<size_t>(read.info.schema.find(column))].source_type;
}

std::string by_key(const TableRead& read, const std::string& keys) {
    std::string columns, values;
    for (const auto& column : read.info.key) {
        std::string comma = columns.empty() ? "" : ", ";
        columns += comma + quote_identifier(column);
        values += fmt::format("{}(j ->> {})::{}", comma, quote_literal(column), shown_type(read, column));
    }
    return fmt::format("COPY (SELECT {} FROM {} WHERE ({}) IN (SELECT {} FROM pg_catalog.json_array_elements({}::json) AS j)) TO STDOUT (FORMAT binary)",
                       read.select_list(), read.from(nullptr), columns, values, quote_literal(keys));
}

std::string by_payload(const TableRead& read, const std::string& rows) {
    std::string columns;
    for (const auto& field : read.info.schema.fields)
        columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", quote_identifier(field.name), field.source_type);
    return fmt::format("COPY (SELECT {} FROM pg_catalog.json_to_recordset({}::json) AS {}({})) TO STDOUT (FORMAT binary)", read.select_list(),
                       quote_literal(rows), quote_identifier(read.relation), columns);
}

}  // namespace

std::vector<Range> replay_ranges(const TableRead& read, const std::vector<flow::RejectRecord>& rejects) {
    std::vector<Range> out;
    for (bool keyed : {true, false}) {
        std::string list;
        size_t count = 0;
        std::set<std::string> seen;  // a bad row is rejected anew by every run that reads it
        auto close = [&] {
            if (count == 0) return;
            std::string rows = "[" + list + "]";
            out.push_back({keyed ? by_key(read, rows) : by_payload(read, rows), fmt::format("{} rejects of {}", count, read.info.name)});
            list.clear();
            count = 0;
        };
        for (const auto& record : rejects) {
            if (record.reject.table != read.info.name || has_primary_key(read, record) != keyed) continue;
            const std::string& row = keyed ? record.reject.key : record.reject.payload;
            if (!seen.insert(keyed ? primary_key(read, record) : row).second) continue;
            list += (count == 0 ? "" : ",") + row;
            if (++count == rejects_a_statement) close();
        }
        close();
    }
    return out;
}

}  // namespace penstock::postgres
