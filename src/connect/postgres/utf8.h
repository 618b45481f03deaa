#pragma once

#include <cstddef>
#include <string_view>

namespace penstock::postgres {

/// Position of the first byte that does not belong to valid UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing
/// above U+10FFFF), or the text's size. Needed only where the server does not vouch for it: SQL_ASCII databases.
size_t first_invalid_utf8(std::string_view text);

}  // namespace penstock::postgres
