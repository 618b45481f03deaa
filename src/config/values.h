#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "config/node.h"

namespace penstock::config {

/// A size in bytes, written as `512MiB`, `10GB` or a number.
struct Bytes {
    uint64_t count = 0;
    friend bool operator==(const Bytes&, const Bytes&) = default;
};

/// A value that remembers where it was written, for errors found later: "cursor is of the wrong type" at file:line:column.
template <class T>
struct Located {
    T value{};
    Place place{};

    bool empty() const { return value.empty(); }
    operator const T&() const { return value; }  // NOLINT: a located value is used as the value
};

using Text = Located<std::string>;

/// A path of a file or directory, made relative to the folder of the configuration file it was written in.
struct FilePath {
    std::filesystem::path value;
    Place place;
    bool empty() const { return value.empty(); }
};

/// `written` as a path, relative to the folder of the file that `place` names. Absolute paths stay.
std::filesystem::path relative_to_file(const Place& place, const std::filesystem::path& written);

}  // namespace penstock::config
