#include "connect/bigquery/target_checks.h"

#include <fmt/format.h>

namespace penstock::bigquery {

using flow::Mode;

Status check_history(const flow::TableTarget& target, const TargetTable& found) {
    if (target.info.changes || target.mode != Mode::history || !found.exists || found.find(valid_to) != nullptr)
        return {};
    return fail({.kind = ErrorKind::schema,
                 .code = "no_history_columns",
                 .message = fmt::format("{} is there without {} and {}, which a history needs", target.name, valid_from,
                                        valid_to),
                 .hint = "name another table, or add both columns as TIMESTAMP"});
}

}  // namespace penstock::bigquery
