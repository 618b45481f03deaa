#include "connect/bigquery/fingerprint.h"

#include <fmt/format.h>
#include <openssl/evp.h>

namespace penstock::bigquery {

std::string fingerprint(const std::vector<std::string>& parts) {
    std::string text;
    for (const auto& part : parts) text += fmt::format("{}:{}", part.size(), part);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
    std::string hex;
    for (unsigned int i = 0; i < 16; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
}

}  // namespace penstock::bigquery
