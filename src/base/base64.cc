#include "base/base64.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>

namespace penstock {
namespace {

constexpr auto values = [] {
    std::array<int8_t, 256> out;
    out.fill(-1);
    int8_t next = 0;
    for (unsigned char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
        out[c] = next++;
    out['-'] = out['+'];
    out['_'] = out['/'];
    return out;
}();

}  // namespace

std::string to_base64(std::string_view bytes) {
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                               reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    out.resize(static_cast<size_t>(size));
    return out;
}

std::string to_base64_url(std::string_view bytes) {
    auto out = to_base64(bytes);
    while (out.ends_with('=')) out.pop_back();
    for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return out;
}

std::optional<std::string> from_base64(std::string_view text) {
    while (text.ends_with('=')) text.remove_suffix(1);
    if (text.size() % 4 == 1) return std::nullopt;
    std::string out;
    out.reserve(text.size() * 3 / 4);
    uint32_t bits = 0;
    int held = 0;
    for (unsigned char c : text) {
        if (values[c] < 0) return std::nullopt;
        bits = bits << 6 | static_cast<uint32_t>(values[c]);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out += static_cast<char>(bits >> held & 0xff);
    }
    return out;
}

}  // namespace penstock
