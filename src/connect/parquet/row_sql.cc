#include "connect/parquet/row_sql.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::parquet {
namespace {

std::string compare(const std::vector<std::string>& names, std::string_view left, std::string_view by,
                    std::string_view right) {
    std::string on;
    for (const auto& name : names) {
        std::string quoted = engine::quote_identifier(name);
        on += fmt::format("{}{}.{} {} {}.{}", on.empty() ? "" : " AND ", left, quoted, by, right, quoted);
    }
    return on.empty() ? "true" : on;
}

}  // namespace

std::string join_on(const std::vector<std::string>& names, std::string_view left, std::string_view right) {
    return compare(names, left, "=", right);
}

std::string same_on(const std::vector<std::string>& names, std::string_view left, std::string_view right) {
    return compare(names, left, "IS NOT DISTINCT FROM", right);
}

}  // namespace penstock::parquet
