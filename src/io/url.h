#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::io {

/// A text as one part of a path or as a query's value: everything but letters, digits, - . _ ~ is escaped.
std::string escape_url(std::string_view text);

/// What an URL says of where to go: "http://127.0.0.1:9050/bigquery?x=1" has the origin "http://127.0.0.1:9050".
struct Origin {
    std::string text;  ///< scheme://host[:port], in lower case
    std::string host;  ///< without port and brackets
    bool encrypted = false;

    /// 127.0.0.0/8, ::1 and localhost: what is sent there leaves no machine.
    bool is_loopback() const;
};

/// An error where it is no http:// or https:// URL, or holds a user's name.
Result<Origin> origin_of(std::string_view url);

/// What a reference found in an answer of `base` names: another URL, or a part of one ("?page=2", "/users?page=2").
Result<std::string> resolve_url(const std::string& base, const std::string& reference);

/// The path and query of an URL, from its first slash on; "/" where it has none.
std::string path_of(std::string_view url);

}  // namespace penstock::io
