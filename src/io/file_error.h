#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace penstock::io {

/// The Error for `errno` after failing to do `what` ("write", "rename into place" …) with a path: who must act and how.
Error file_error(std::string_view what, const std::filesystem::path& path, int number);

}  // namespace penstock::io
