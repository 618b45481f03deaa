#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "backup/key.h"
#include "base/error.h"

namespace penstock::backup {

/// So many bytes of an archive are one part at most: what a thread holds in memory, and what one damaged bit costs.
inline constexpr uint64_t part_bytes = uint64_t{16} << 20;

/// One stretch of an archive, as an object: compressed (zstd), then sealed with the backup's own key and its own name.
Result<std::string> pack_part(std::string_view raw, const Key& key, const std::string& name);
/// The way back. Code `backup_damaged` where a bit is not as it was; `url` is for people.
Result<std::string> unpack_part(std::string_view packed, const Key& key, const std::string& name,
                                const std::string& url);

/// The error of an object of a backup that is not what was written.
Error damaged_object(const std::string& url, std::string_view what);

}  // namespace penstock::backup
