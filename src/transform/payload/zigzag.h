#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::payload {

enum class ZigzagFault { none, ends, beyond_64_bits };

/// Takes a number off the front of `bytes`: groups of seven bits, the lowest first, small whatever the sign. Avro's and, of signed
/// fields, Protobuf's form.
inline ZigzagFault take_zigzag(std::string_view& bytes, int64_t& out) {
    uint64_t bits = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (bytes.empty()) return ZigzagFault::ends;
        auto byte = static_cast<unsigned char>(bytes[0]);
        bytes.remove_prefix(1);
        if (shift == 63 && byte > 1) break;
        bits |= uint64_t{byte & 0x7fU} << shift;
        if (byte & 0x80) continue;
        out = static_cast<int64_t>(bits >> 1) ^ -static_cast<int64_t>(bits & 1);
        return ZigzagFault::none;
    }
    return ZigzagFault::beyond_64_bits;
}

}  // namespace penstock::payload
