#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::config {

/// "; did you mean 'merge'?" for a name of `names` that is near enough to be meant (at most half of it mistyped), else "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& names);

}  // namespace penstock::config
