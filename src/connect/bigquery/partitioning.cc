#include "connect/bigquery/partitioning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <regex>

#include "connect/bigquery/sql.h"

namespace penstock::bigquery {
namespace {

using Json = nlohmann::json;

const Column* find(const std::vector<Column>& columns, std::string_view name) {
    for (const auto& column : columns)
        if (same_name(column.name, name)) return &column;
    return nullptr;
}

std::unexpected<Error> bad(const std::string& partition_by, std::string why, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = "bad_partition",
                 .message = fmt::format("partition_by: {} {}", partition_by, why),
                 .hint = std::move(hint)});
}

std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

Partitioning read(const std::string& text) {
    using std::regex;
    constexpr auto icase = std::regex::icase;
    static const regex plain(R"(\s*`?(\w+)`?\s*)"), date(R"(\s*date\s*\(\s*`?(\w+)`?\s*\)\s*)", icase),
        trunc(R"(\s*(?:date|datetime|timestamp)_trunc\s*\(\s*`?(\w+)`?\s*,\s*(hour|day|month|year)\s*\)\s*)", icase),
        range(
            R"(\s*range_bucket\s*\(\s*`?(\w+)`?\s*,\s*generate_array\s*\(\s*(-?\d{1,18})\s*,\s*(-?\d{1,18})\s*,\s*(\d{1,18})\s*\)\s*\)\s*)",
            icase);
    std::smatch found;
    if (std::regex_match(text, found, plain) || std::regex_match(text, found, date))
        return {.column = found[1], .unit = "DAY"};
    if (std::regex_match(text, found, trunc)) return {.column = found[1], .unit = upper(found[2])};
    if (std::regex_match(text, found, range))
        return {.column = found[1],
                .unit = "",
                .start = std::stoll(found[2]),
                .end = std::stoll(found[3]),
                .interval = std::stoll(found[4])};
    return {};
}

int64_t number(const Json& json, const char* name) {
    auto found = json.find(name);
    if (found == json.end()) return 0;
    return found->is_string()           ? std::strtoll(found->get_ref<const std::string&>().c_str(), nullptr, 10)
           : found->is_number_integer() ? found->get<int64_t>()
                                        : 0;
}

}  // namespace

Result<Partitioning> parse_partitioning(const std::string& partition_by, const std::vector<Column>& columns) {
    if (partition_by.empty()) return Partitioning{};
    constexpr const char* forms =
        "write date(column), timestamp_trunc(column, HOUR|DAY|MONTH|YEAR), or range_bucket(column, "
        "generate_array(start, end, "
        "step))";
    auto found = read(partition_by);
    if (found.none()) return bad(partition_by, "is nothing that BigQuery partitions by", forms);
    const auto* column = find(columns, found.column);
    if (column == nullptr) return bad(partition_by, "names no column of the table", forms);
    found.column = column->name;
    bool timed = column->type == "DATE" || column->type == "TIMESTAMP" || column->type == "DATETIME";
    bool fits = !column->repeated && (found.unit.empty() ? column->type == "INT64" : timed);
    if (!fits)
        return bad(partition_by, fmt::format("cannot partition: {} is {}", column->name, sql_type(*column)),
                   "BigQuery partitions by a DATE, DATETIME or TIMESTAMP, or by ranges of an INT64");
    if (column->type == "DATE" && found.unit == "HOUR") return bad(partition_by, "asks a date for its hour", forms);
    if (found.unit.empty() && (found.interval == 0 || found.end <= found.start))
        return bad(partition_by, "has no range", forms);
    return found;
}

std::string Partitioning::sql(const std::vector<Column>& columns) const {
    std::string name = quote_identifier(column);
    if (unit.empty()) return fmt::format("RANGE_BUCKET({}, GENERATE_ARRAY({}, {}, {}))", name, start, end, interval);
    const auto* found = find(columns, column);
    std::string type = found == nullptr ? "TIMESTAMP" : found->type;
    if (unit == "DAY") return type == "DATE" ? name : fmt::format("DATE({})", name);
    return fmt::format("{}_TRUNC({}, {})", type, name, unit);
}

void put_partitioning(const Partitioning& partitioning, Json& table) {
    if (partitioning.none()) return;
    if (!partitioning.unit.empty()) {
        table["timePartitioning"] = {{"type", partitioning.unit}, {"field", partitioning.column}};
        return;
    }
    table["rangePartitioning"] = {{"field", partitioning.column},
                                  {"range",
                                   {{"start", std::to_string(partitioning.start)},
                                    {"end", std::to_string(partitioning.end)},
                                    {"interval", std::to_string(partitioning.interval)}}}};
}

Partitioning partitioning_of(const Json& table) {
    if (auto found = table.find("timePartitioning"); found != table.end() && found->is_object())
        return {.column = found->value("field", "_PARTITIONTIME"), .unit = found->value("type", "DAY")};
    auto found = table.find("rangePartitioning");
    if (found == table.end() || !found->is_object()) return {};
    const auto range = found->value("range", Json::object());
    return {.column = found->value("field", ""),
            .unit = "",
            .start = number(range, "start"),
            .end = number(range, "end"),
            .interval = number(range, "interval")};
}

}  // namespace penstock::bigquery
