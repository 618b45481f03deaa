#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "transform/debezium/envelope.h"

namespace penstock::debezium {

/// Bytes an encoded text has at most.
size_t decoded_size(std::string_view text, Binaries encoding);
/// Into `out`, which has room for decoded_size(); how many bytes it were, or nothing for a text that is not of the encoding.
std::optional<size_t> decode_bytes(std::string_view text, Binaries encoding, char* out);
std::string encode_bytes(std::string_view bytes, Binaries encoding);

/// Java's UUID.nameUUIDFromBytes.
std::string uuid_of(std::string_view bytes);

}  // namespace penstock::debezium
