#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::parquet {

/// Which objects a source means: `*` is any text and `?` one letter within a folder, `**` any text across folders.
class Glob {
  public:
    /// Of a name below the connection's place; not of one that leaves it.
    static Result<Glob> parse(std::string pattern);

    /// What begins with `.` or `_`, name or folder, is bookkeeping or half written, unless the pattern says so itself.
    bool matches(std::string_view name) const;
    /// What every match begins with: "" or a text that ends with a slash.
    std::string folder() const;
    /// Without the extension of a compression: "ndjson"; "" none.
    std::string extension() const;
    const std::string& text() const { return pattern_; }

  private:
    explicit Glob(std::string pattern) : pattern_(std::move(pattern)) {}
    std::string pattern_;
};

}  // namespace penstock::parquet
