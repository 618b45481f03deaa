#pragma once

#include <string>
#include <utility>

namespace penstock {

/// Text that must never be shown: a password, a token, an URL that may hold one. Prints as `***`; `reveal` is called only
/// where the value is handed to the library that needs it.
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    const std::string& reveal() const { return value_; }
    bool empty() const { return value_.empty(); }

  private:
    std::string value_;
};

/// Remembers a secret so that `redact` finds it in any text that libraries hand back. Thread-safe.
void remember_secret(const std::string& value);

/// The text with every remembered secret, and the password part of every URL, replaced by `***`.
std::string redact(std::string text);

}  // namespace penstock
