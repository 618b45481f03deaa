#include "backup/key.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/base64.h"
#include "base/digest.h"
#include "base/hex.h"

namespace penstock::backup {
namespace {

constexpr size_t key_bytes = 32;
constexpr size_t nonce_bytes = 12;
constexpr size_t tag_bytes = 16;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Cipher new_cipher() {
    Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    PN_ASSERT(cipher != nullptr);
    return cipher;
}

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
int length_of(std::string_view text) {
    PN_ASSERT(text.size() < size_t{1} << 30);
    return static_cast<int>(text.size());
}

std::string random_bytes(size_t count) {
    std::string out(count, '\0');
    PN_ASSERT(RAND_bytes(bytes_of(out), static_cast<int>(count)) == 1);
    return out;
}

}  // namespace

Key::Key(std::string bytes) : bytes_(std::move(bytes)) { PN_ASSERT(bytes_.size() == key_bytes); }

Key Key::random() { return Key(random_bytes(key_bytes)); }

Result<Key> Key::parse(const Secret& text, const std::string& where) {
    auto bytes = from_hex(text.reveal());
    // Only the alphabet that openssl and base64 write: a key with '-' or '_' is more likely something else.
    if ((!bytes || bytes->size() != key_bytes) && text.reveal().find_first_of("-_") == std::string::npos)
        bytes = from_base64(text.reveal());
    if (bytes && bytes->size() == key_bytes) return Key(std::move(*bytes));
    return fail({.kind = ErrorKind::configuration,
                 .code = "bad_backup_key",
                 .message = "the backups' key is not 32 bytes as 64 hexadecimal digits or in base64",
                 .where = where,
                 .hint = "make one with `openssl rand -hex 32`; a password is not a key"});
}

std::string Key::fingerprint() const { return sha256_hex("penstock backup key " + bytes_).substr(0, 16); }

std::string Key::seal(std::string_view plain, std::string_view context) const {
    std::string sealed = random_bytes(nonce_bytes);
    sealed.resize(nonce_bytes + plain.size() + tag_bytes);
    unsigned char* out = bytes_of(sealed);
    auto cipher = new_cipher();
    int done = 0;
    PN_ASSERT(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(bytes_), out) == 1);
    PN_ASSERT(EVP_EncryptUpdate(cipher.get(), nullptr, &done, bytes_of(context), length_of(context)) == 1);
    PN_ASSERT(EVP_EncryptUpdate(cipher.get(), out + nonce_bytes, &done, bytes_of(plain), length_of(plain)) == 1);
    PN_ASSERT(EVP_EncryptFinal_ex(cipher.get(), out + nonce_bytes + done, &done) == 1);
    PN_ASSERT(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, tag_bytes, out + nonce_bytes + plain.size()) ==
              1);
    return sealed;
}

std::optional<std::string> Key::open(std::string_view sealed, std::string_view context) const {
    if (sealed.size() < nonce_bytes + tag_bytes) return std::nullopt;
    auto text = sealed.substr(nonce_bytes, sealed.size() - nonce_bytes - tag_bytes);
    std::string tag(sealed.substr(sealed.size() - tag_bytes));
    std::string plain(text.size(), '\0');
    auto cipher = new_cipher();
    int done = 0;
    PN_ASSERT(EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(bytes_), bytes_of(sealed)) == 1);
    PN_ASSERT(EVP_DecryptUpdate(cipher.get(), nullptr, &done, bytes_of(context), length_of(context)) == 1);
    PN_ASSERT(EVP_DecryptUpdate(cipher.get(), bytes_of(plain), &done, bytes_of(text), length_of(text)) == 1);
    PN_ASSERT(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, tag.data()) == 1);
    if (EVP_DecryptFinal_ex(cipher.get(), bytes_of(plain) + done, &done) != 1) return std::nullopt;
    return plain;
}

std::string Key::sign(std::string_view text) const {
    std::string out(32, '\0');
    unsigned size = 0;
    PN_ASSERT(HMAC(EVP_sha256(), bytes_.data(), static_cast<int>(bytes_.size()), bytes_of(text), text.size(),
                   bytes_of(out), &size) != nullptr);
    return to_hex(out);
}

}  // namespace penstock::backup
