#pragma once

#include <vector>

#include "base/error.h"
#include "engine/types.h"
#include "flow/source.h"
#include "transform/steps/step_sql.h"

namespace penstock::steps {

/// The table after a step that gives these columns. A column that goes through keeps what the source knows of it; any other is new,
/// and rows that the target has from before it must be read again for its values. The key goes where one of its columns does; the
/// cursor has to stay.
Result<flow::TableInfo> info_after(const flow::TableInfo& was, const StepSql& step,
                                   const std::vector<engine::TargetColumn>& columns);

/// Steps tell columns apart as DuckDB does: not by upper and lower case.
Status check_names(const flow::TableInfo& info, const std::string& place);

}  // namespace penstock::steps
