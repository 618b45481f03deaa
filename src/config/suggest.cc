#include "config/suggest.h"

#include <fmt/format.h>

#include "base/humane.h"

namespace penstock::config {

std::string did_you_mean(std::string_view name, const std::vector<std::string>& names) {
    // Edit distance is quadratic, and nobody means anything by a name of such a length.
    if (name.size() > 100) return {};
    std::string nearest = nearest_name(name, names);
    if (nearest.empty() || edit_distance(name, nearest) * 2 > name.size()) return {};
    return fmt::format("; did you mean '{}'?", nearest);
}

}  // namespace penstock::config
