#include "connect/postgres/utf8.h"

#include <cstdint>
#include <cstring>

namespace penstock::postgres {
namespace {

/// Bytes of the sequence starting here, 0 when it is invalid.
size_t sequence_length(const unsigned char* at, size_t left) {
    auto continues = [&](size_t i) { return i < left && (at[i] & 0xC0) == 0x80; };
    unsigned char lead = at[0];
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (!continues(1) || !continues(2)) return 0;
        bool overlong = lead == 0xE0 && at[1] < 0xA0;
        bool surrogate = lead == 0xED && at[1] >= 0xA0;
        return overlong || surrogate ? 0 : 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (!continues(1) || !continues(2) || !continues(3)) return 0;
        bool overlong = lead == 0xF0 && at[1] < 0x90;
        bool too_large = lead == 0xF4 && at[1] >= 0x90;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

}  // namespace

size_t first_invalid_utf8(std::string_view text) {
    auto bytes = reinterpret_cast<const unsigned char*>(text.data());
    size_t at = 0;
    while (at < text.size()) {
        uint64_t word;
        if (at + sizeof word <= text.size()) {
            std::memcpy(&word, bytes + at, sizeof word);
            if ((word & 0x8080808080808080) == 0) {
                at += sizeof word;
                continue;
            }
        }
        size_t length = sequence_length(bytes + at, text.size() - at);
        if (length == 0) return at;
        at += length;
    }
    return at;
}

}  // namespace penstock::postgres
