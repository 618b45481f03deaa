#include "connect/bigquery/row_size.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::bigquery {
namespace {

using data::Kind;
using data::Type;

/// Of what has a size of its own: a decimal of 256 bits is the largest.
constexpr int64_t fixed_bytes = 33;

bool is_fixed(const Type& type) {
    switch (type.kind) {
        case Kind::text:
        case Kind::json:
        case Kind::bytes:
        case Kind::list:
        case Kind::map:
        case Kind::structure: return false;
        default: return true;
    }
}

/// Never less than the value has as Arrow.
std::string size_sql(const Type& type, const std::string& value, int depth) {
    if (is_fixed(type)) return std::to_string(fixed_bytes);
    switch (type.kind) {
        case Kind::bytes: return fmt::format("coalesce(octet_length({}), 0) + 5", value);
        case Kind::list: {
            std::string element = fmt::format("s{}", depth);
            const auto& inner = type.children.front().type;
            if (is_fixed(inner)) return fmt::format("coalesce(len({}), 0) * {} + 5", value, fixed_bytes);
            return fmt::format("coalesce(list_sum(list_transform({}, lambda {}: {})), 0) + 5", value, element,
                               size_sql(inner, element, depth + 1));
        }
        case Kind::structure: {
            std::string sum = "1";
            for (const auto& field : type.children)
                sum += " + " + size_sql(field.type,
                                        fmt::format("struct_extract({}, {})", value, engine::quote_literal(field.name)),
                                        depth);
            return fmt::format("({})", sum);
        }
        // What has no place of its own is JSON's text, in which a character may take two.
        case Kind::map: return fmt::format("coalesce(strlen(CAST(to_json({}) AS VARCHAR)), 0) + 5", value);
        default: return fmt::format("coalesce(strlen(CAST({} AS VARCHAR)), 0) + 5", value);
    }
}

}  // namespace

std::optional<Fault> row_size_fault(const flow::TableTarget& target, const Shape& shape, int64_t most_bytes) {
    std::string sum;
    int64_t fixed = 0;
    for (const auto& column : shape.columns) {
        const auto& type = target.info.schema.fields[column.field].type;
        if (is_fixed(type)) fixed += fixed_bytes;
        else sum += fmt::format("{} + ", size_sql(type, engine::quote_identifier(column.source), 0));
    }
    if (sum.empty()) return std::nullopt;
    sum = fmt::format("({}{})", sum, fixed);
    return Fault{
        .condition = fmt::format("{} > {}", sum, most_bytes),
        .code = "row_too_large",
        .reason = fmt::format("'about ' || CAST({} AS VARCHAR) || ' bytes are more than the {} that a request of "
                              "the Storage Write API may have; publish: load_job takes rows of up to 50 MB'",
                              sum, most_bytes)};
}

}  // namespace penstock::bigquery
