#include "base/digest.h"

#include <openssl/evp.h>

#include <array>
#include <utility>

#include "base/assert.h"
#include "base/hex.h"

namespace penstock {
namespace {

EVP_MD_CTX* digest_of(void* context) { return static_cast<EVP_MD_CTX*>(context); }

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    PN_ASSERT(context_ != nullptr);
    PN_ASSERT(EVP_DigestInit_ex(digest_of(context_), EVP_sha256(), nullptr) == 1);
}
Sha256::Sha256(Sha256&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
Sha256::~Sha256() { EVP_MD_CTX_free(digest_of(context_)); }

void Sha256::add(std::string_view bytes) {
    PN_ASSERT(EVP_DigestUpdate(digest_of(context_), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
    std::array<char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    PN_ASSERT(EVP_DigestFinal_ex(digest_of(context_), reinterpret_cast<unsigned char*>(bytes.data()), &size) == 1);
    return to_hex({bytes.data(), size});
}

std::string sha256_hex(std::string_view bytes) {
    Sha256 digest;
    digest.add(bytes);
    return digest.hex();
}

}  // namespace penstock
