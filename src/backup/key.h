#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace penstock::backup {

/// A key of AES-256-GCM. A backup's parts are sealed with a random key of its own, which its catalog entry holds sealed with
/// the configured one: another configured key takes no new parts. Any thread.
class Key {
  public:
    /// 64 hexadecimal digits, or base64 of 32 bytes. `where` names the place of the option.
    static Result<Key> parse(const Secret& text, const std::string& where);
    static Key random();
    /// Of 32 bytes.
    explicit Key(std::string bytes);

    /// 16 hexadecimal digits that tell keys apart and nothing about them.
    std::string fingerprint() const;

    /// Nonce, cipher text and tag. What is opened with another context does not open: a part cannot take another's place.
    std::string seal(std::string_view plain, std::string_view context) const;
    /// Nothing where a bit is not as it was, or key or context are others.
    std::optional<std::string> open(std::string_view sealed, std::string_view context) const;

    /// HMAC-SHA256 in hexadecimal digits: whoever has the key can tell that nobody else wrote the text.
    std::string sign(std::string_view text) const;

    const std::string& bytes() const { return bytes_; }

  private:
    std::string bytes_;
};

}  // namespace penstock::backup
