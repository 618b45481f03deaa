#pragma once

#include "base/error.h"
#include "config/values.h"

namespace penstock::config {

/// A `query:` that names a .sql file, relative to the configuration's, becomes the file's text; any other stays as it is.
Status read_query_file(Text& query);

}  // namespace penstock::config
