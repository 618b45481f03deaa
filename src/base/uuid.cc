#include "base/uuid.h"

#include <openssl/evp.h>

#include <array>

#include "base/assert.h"
#include "base/hex.h"

namespace penstock {

std::string uuid_of(std::string_view name) {
    // 6ba7b811-9dad-11d1-80b4-00c04fd430c8: names that are URLs.
    constexpr std::array<unsigned char, 16> urls = {0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1,
                                                    0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    std::string text(urls.begin(), urls.end());
    text += name;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    PN_ASSERT(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1 && size >= 16);
    digest[6] = static_cast<unsigned char>((digest[6] & 0x0f) | 0x50);
    digest[8] = static_cast<unsigned char>((digest[8] & 0x3f) | 0x80);
    auto hex = to_hex({reinterpret_cast<const char*>(digest.data()), 16});
    for (size_t dash : {20, 16, 12, 8}) hex.insert(dash, "-");
    return hex;
}

}  // namespace penstock
