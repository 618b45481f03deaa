#include "connect/bigquery/own_columns.h"

#include <fmt/format.h>

#include "connect/bigquery/sql.h"
#include "connect/bigquery/target_table.h"

namespace penstock::bigquery {

std::vector<Column> own_columns(const flow::TableTarget& target) {
    namespace change = flow::change;
    std::vector<Column> columns;
    bool history = target.mode == flow::Mode::history;
    if (target.info.changes) {
        columns.push_back({.name = change::position, .type = "STRING"});
        columns.push_back({.name = change::synced_at, .type = "TIMESTAMP"});
    }
    if (history) {
        columns.push_back({.name = valid_from, .type = "TIMESTAMP"});
        columns.push_back({.name = valid_to, .type = "TIMESTAMP"});
    }
    if (target.info.changes && (history || target.deletes == flow::Deletes::soft))
        columns.push_back({.name = change::deleted, .type = "BOOL"});
    return columns;
}

bool is_own_column(const flow::TableTarget& target, std::string_view name) {
    if (same_name(name, valid_from) || same_name(name, valid_to)) return true;
    namespace change = flow::change;
    return target.info.changes && (same_name(name, change::position) || same_name(name, change::synced_at) ||
                                   same_name(name, change::deleted));
}

std::string alive(const flow::TableTarget& target, std::string_view prefix) {
    if (target.mode == flow::Mode::history) return fmt::format("{}{} IS NULL", prefix, valid_to);
    if (target.deletes == flow::Deletes::soft) return fmt::format("{}{} IS NOT TRUE", prefix, flow::change::deleted);
    return "TRUE";
}

}  // namespace penstock::bigquery
