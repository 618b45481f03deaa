#pragma once

#include <string>
#include <vector>

namespace penstock::bigquery {

/// 32 hexadecimal digits that are the same for the same texts, and for others differ: what ids of jobs are made of.
std::string fingerprint(const std::vector<std::string>& parts);

}  // namespace penstock::bigquery
