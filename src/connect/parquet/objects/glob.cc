#include "connect/parquet/objects/glob.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::parquet {
namespace {

bool fits(std::string_view name, std::string_view pattern) {
    if (pattern.empty()) return name.empty();
    if (pattern.starts_with("**/")) {
        if (fits(name, pattern.substr(3))) return true;
        auto slash = name.find('/');
        return slash != name.npos && fits(name.substr(slash + 1), pattern);
    }
    if (pattern.starts_with("**")) {
        for (size_t i = 0; i <= name.size(); ++i)
            if (fits(name.substr(i), pattern.substr(2))) return true;
        return false;
    }
    if (pattern.front() == '*') {
        for (size_t i = 0; i <= name.size(); ++i) {
            if (fits(name.substr(i), pattern.substr(1))) return true;
            if (i < name.size() && name[i] == '/') return false;
        }
        return false;
    }
    if (name.empty()) return false;
    bool same = pattern.front() == '?' ? name.front() != '/' : name.front() == pattern.front();
    return same && fits(name.substr(1), pattern.substr(1));
}

bool hidden(std::string_view part) { return part.starts_with('.') || part.starts_with('_'); }

}  // namespace

Result<Glob> Glob::parse(std::string pattern) {
    bool leaves = pattern == ".." || pattern.starts_with("../") || pattern.ends_with("/..") ||
                  pattern.find("/../") != pattern.npos;
    auto wild = std::ranges::count(pattern, '*');
    if (pattern.empty() || pattern.front() == '/' || pattern.back() == '/' || leaves || wild > 8)
        return fail({.kind = ErrorKind::configuration,
                     .code = "bad_files",
                     .message = fmt::format("\"{}\" names no files below the connection's url", pattern),
                     .hint = "write in/orders/*.ndjson, or in/**/*.csv.gz with the folders below: a relative path, "
                             "without .. and with up to eight *"});
    return Glob(std::move(pattern));
}

bool Glob::matches(std::string_view name) const {
    if (!fits(name, pattern_)) return false;
    for (size_t at = folder().size(); at <= name.size();) {
        auto end = std::min(name.find('/', at), name.size());
        auto part = name.substr(at, end - at);
        // A part that the pattern spells out is wanted.
        if (hidden(part) && pattern_.find(part) == pattern_.npos) return false;
        at = end + 1;
    }
    return true;
}

std::string Glob::folder() const {
    auto wild = pattern_.find_first_of("*?");
    auto slash = pattern_.substr(0, wild).rfind('/');
    return slash == std::string::npos ? "" : pattern_.substr(0, slash + 1);
}

std::string Glob::extension() const {
    std::string_view name = pattern_;
    for (std::string_view packed : {".gz", ".zst"})
        if (name.ends_with(packed)) name.remove_suffix(packed.size());
    auto dot = name.find_last_of("./");
    return dot == name.npos || name[dot] == '/' ? "" : std::string(name.substr(dot + 1));
}

}  // namespace penstock::parquet
