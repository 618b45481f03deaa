#include "connect/parquet/change_log.h"

#include <fmt/format.h>

#include "engine/sql.h"
#include "flow/change.h"

namespace penstock::parquet {
namespace {

namespace change = flow::change;

/// The name that a column of the table has in the files.
std::string name_in_files(const Shape& shape, size_t column) {
    for (const auto& one : shape.columns)
        if (one.source == static_cast<int>(column)) return one.field.name;
    return "";
}

}  // namespace

data::Schema log_schema(const flow::TableInfo& info) {
    data::Schema schema = change::snapshot_schema(info);
    schema.fields.push_back({.name = change::unchanged, .type = data::list_of(data::scalar(data::Kind::text))});
    return schema;
}

data::Schema source_schema(const flow::TableTarget& target, const data::Schema& scan) {
    return target.info.changes ? log_schema(target.info) : scan;
}

std::string log_value(const flow::TableInfo& info, const data::Schema& scan, const Shape& shape, size_t column) {
    size_t unchanged = info.schema.fields.size() + 3;
    if (column != unchanged) return fmt::format("s{}", column);
    if (scan.find(change::unchanged) < 0) return "CAST([] AS VARCHAR[])";
    std::string names;
    for (size_t i = 0; i < info.schema.fields.size(); ++i)
        names += (i == 0 ? "" : ", ") + engine::quote_literal(name_in_files(shape, i));
    return fmt::format(
        "CASE WHEN s{0} = '' THEN CAST([] AS VARCHAR[]) ELSE list_filter([{1}], lambda name, i: s{0}[i] = "
        "'1') END",
        unchanged, names);
}

}  // namespace penstock::parquet
