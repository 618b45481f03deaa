#pragma once

#include <filesystem>
#include <memory>

#include "io/object_store.h"

namespace penstock::io {

/// Objects as files of a folder, which is made by the first write.
std::shared_ptr<ObjectStore> folder_store(std::filesystem::path root);

}  // namespace penstock::io
