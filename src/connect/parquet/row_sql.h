#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::parquet {

/// T."a" = S."a" AND …
std::string join_on(const std::vector<std::string>& names, std::string_view left, std::string_view right);
/// The same where NULL equals NULL.
std::string same_on(const std::vector<std::string>& names, std::string_view left, std::string_view right);

}  // namespace penstock::parquet
