#include "transform/debezium/decode_bytes.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cstdint>

#include "base/hex.h"

namespace penstock::debezium {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr uint8_t none = 255;

constexpr std::array<uint8_t, 256> values_of(std::string_view letters) {
    std::array<uint8_t, 256> table{};
    table.fill(none);
    for (size_t i = 0; i < letters.size(); ++i) table[static_cast<uint8_t>(letters[i])] = static_cast<uint8_t>(i);
    return table;
}

constexpr auto base64_values = values_of(alphabet);
constexpr auto base64_url_values = values_of(url_alphabet);

std::optional<size_t> decode_hex(std::string_view text, char* out) {
    if (text.size() % 2 != 0) return std::nullopt;
    for (size_t i = 0; i < text.size(); i += 2) {
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        out[i / 2] = static_cast<char>(high << 4 | low);
    }
    return text.size() / 2;
}

std::optional<size_t> decode_base64(std::string_view text, const std::array<uint8_t, 256>& values, char* out) {
    while (text.ends_with('=')) text.remove_suffix(1);
    if (text.size() % 4 == 1) return std::nullopt;
    uint32_t bits = 0;
    int have = 0;
    size_t size = 0;
    for (char letter : text) {
        uint8_t value = values[static_cast<uint8_t>(letter)];
        if (value == none) return std::nullopt;
        bits = bits << 6 | value;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out[size++] = static_cast<char>(bits >> have & 0xff);
    }
    return size;
}

}  // namespace

size_t decoded_size(std::string_view text, Binaries encoding) {
    return encoding == Binaries::hex ? text.size() / 2 : text.size() / 4 * 3 + 3;
}

std::optional<size_t> decode_bytes(std::string_view text, Binaries encoding, char* out) {
    switch (encoding) {
        case Binaries::bytes:
        case Binaries::base64: return decode_base64(text, base64_values, out);
        case Binaries::base64_url: return decode_base64(text, base64_url_values, out);
        case Binaries::hex: return decode_hex(text, out);
    }
    std::unreachable();
}

std::string encode_bytes(std::string_view bytes, Binaries encoding) {
    std::string out;
    if (encoding == Binaries::hex) return to_hex(bytes);
    std::string_view letters = encoding == Binaries::base64_url ? url_alphabet : alphabet;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t group = 0;
        for (size_t j = 0; j < 3; ++j)
            group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0u);
        for (size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? letters[group >> (18 - 6 * j) & 63] : '=';
    }
    return out;
}

std::string uuid_of(std::string_view bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_md5(), nullptr) != 1) return "";
    digest[6] = (digest[6] & 0x0f) | 0x30;
    digest[8] = (digest[8] & 0x3f) | 0x80;
    std::string out;
    for (size_t i = 0; i < 16; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
        out += fmt::format("{:02x}", digest[i]);
    }
    return out;
}

}  // namespace penstock::debezium
