#include "connect/postgres/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace penstock::postgres {
namespace {

/// Rejects a statement; keeps its text well below what a server takes.
constexpr size_t rejects_a_statement = 500;

/// Where a rejected row's primary key stands: in the reject's key, which may be the target's own, else in the row itself.
struct PrimaryKey {
    const std::string* object = nullptr;  ///< JSON with at least the key's columns; null where the key cannot be known
    std::string shown;                    ///< tells rows apart
};

PrimaryKey primary_key(const TableRead& read, const flow::Reject& reject) {
    if (!read.query.empty() || read.info.key.empty()) return {};
    for (const auto* text : {&reject.key, &reject.payload}) {
        auto row = nlohmann::json::parse(*text, nullptr, false);
        auto known = [&](const auto& column) { return row.contains(column) && !row[column].is_null(); };
        if (!row.is_object() || !std::ranges::all_of(read.info.key, known)) continue;
        PrimaryKey key{.object = text, .shown = ""};
        bool exact = true;
        for (const auto& column : read.info.key) {
            exact = exact && !row[column].is_number_float();
            key.shown += row[column].dump() + ",";
        }
        if (!exact) key.shown = *text;  // a number longer than the parser's must not pass for its neighbour
        return key;
    }
    return {};
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
    return fmt::format(
        "COPY (SELECT {} FROM {} WHERE ({}) IN (SELECT {} FROM pg_catalog.json_array_elements({}::json) AS j)) TO "
        "STDOUT (FORMAT binary)",
        read.select_list(), read.from(nullptr), columns, values, quote_literal(keys));
}

std::string by_payload(const TableRead& read, const std::string& rows) {
    std::string columns;
    for (const auto& field : read.info.schema.fields)
        columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", quote_identifier(field.name), field.source_type);
    return fmt::format(
        "COPY (SELECT {} FROM pg_catalog.json_to_recordset({}::json) AS {}({})) TO STDOUT (FORMAT binary)",
        read.select_list(), quote_literal(rows), quote_identifier(read.relation), columns);
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
            out.push_back({keyed ? by_key(read, rows) : by_payload(read, rows),
                           fmt::format("{} rejects of {}", count, read.info.name)});
            list.clear();
            count = 0;
        };
        for (const auto& record : rejects) {
            if (record.reject.table != read.info.name) continue;
            auto key = primary_key(read, record.reject);
            if ((key.object != nullptr) != keyed) continue;
            const std::string& row = keyed ? *key.object : record.reject.payload;
            if (!seen.insert(keyed ? key.shown : row).second) continue;
            list += (count == 0 ? "" : ",") + row;
            if (++count == rejects_a_statement) close();
        }
        close();
    }
    return out;
}

}  // namespace penstock::postgres
