#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "backup/key.h"
#include "base/error.h"

namespace penstock::backup {

/// Small objects of JSON that anybody may read and nobody without the configured key can write: an HMAC stands in their last
/// line. Their `key` member holds the key of the parts that they speak of, sealed with the configured one.
std::string seal_entry(const nlohmann::ordered_json& entry, const Key& key);

/// The way back. Codes `wrong_backup_key`, `backup_damaged`, and `newer_backup` where `format` is not 1; `url` is for people.
Result<nlohmann::ordered_json> open_entry(const std::string& text, const Key& key, const std::string& url);

/// The `key` member of an entry: `parts`, sealed with `key` for this one context.
nlohmann::ordered_json sealed_key(const Key& parts, const Key& key, const std::string& context);
/// Of an entry that open_entry() found good.
Key opened_key(const nlohmann::ordered_json& entry, const Key& key, const std::string& context);

}  // namespace penstock::backup
