#pragma once

#include <memory>

#include "io/object_store.h"

namespace penstock::io {

/// Objects of Google Cloud Storage or of S3, through Arrow's file systems.
Result<std::shared_ptr<ObjectStore>> bucket_store(const ObjectStoreSettings& settings);

}  // namespace penstock::io
