#pragma once

#include <string>
#include <string_view>

namespace penstock {

/// SHA-256 as 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

/// SHA-256 in hexadecimal digits, of bytes that come in pieces.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&& other) noexcept;
    Sha256& operator=(Sha256&&) = delete;
    void add(std::string_view bytes);
    /// Once, at the end.
    std::string hex();

  private:
    void* context_;
};

}  // namespace penstock
