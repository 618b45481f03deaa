#pragma once

#include "flow/component.h"

namespace penstock::mysql {

/// MySQL and MariaDB: the rows that a pipeline is run for, and the table of its jobs. No source and no target.
const flow::Component& component();

}  // namespace penstock::mysql
