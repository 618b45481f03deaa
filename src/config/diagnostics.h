#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::config {

/// The problems of one configuration, collected so that its author mends them in one go.
class Diagnostics {
  public:
    /// More than this many are counted but not kept.
    static constexpr size_t most_kept = 20;

    void add(Error error);

    bool empty() const { return total_ == 0; }
    size_t size() const { return total_; }
    /// In the order they were found, `most_kept` of them.
    const std::vector<Error>& errors() const { return errors_; }

    /// One problem is its own error. Several become one whose message counts them and lists each on a line of its own with
    /// place and hint, and whose `where` is the first place. Only when not `empty`.
    Error error() const;
    /// Success when empty, else `error`.
    Status status() const;

  private:
    std::vector<Error> errors_;
    size_t total_ = 0;
};

}  // namespace penstock::config
