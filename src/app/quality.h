#pragma once

#include "app/commands.h"

namespace penstock::app::command {

Result<int> quality_run(const Session& session);
Result<int> quality_import(const Session& session);
Result<int> quality_docs(const Session& session);

}  // namespace penstock::app::command
