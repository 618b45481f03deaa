#include "connect/bigquery/fingerprint.h"

#include <fmt/format.h>

#include "base/digest.h"

namespace penstock::bigquery {

std::string fingerprint(const std::vector<std::string>& parts) {
    std::string text;
    for (const auto& part : parts) text += fmt::format("{}:{}", part.size(), part);
    return sha256_hex(text).substr(0, 32);
}

}  // namespace penstock::bigquery
