#include "io/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace penstock::io {
namespace {

size_t authority_begin(std::string_view url) {
    auto scheme = url.find("://");
    return scheme == url.npos ? url.npos : scheme + 3;
}

std::string lower_case(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

}  // namespace

std::string escape_url(std::string_view text) {
    std::string out;
    for (unsigned char c : text) {
        bool plain = (std::isalnum(c) != 0 && c < 0x80) || c == '-' || c == '.' || c == '_' || c == '~';
        out += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
    }
    return out;
}

bool Origin::is_loopback() const {
    bool numeric = host.find_first_not_of("0123456789.") == host.npos;
    return host == "localhost" || host == "::1" || (numeric && host.starts_with("127."));
}

Result<Origin> origin_of(std::string_view url) {
    auto begin = authority_begin(url);
    auto bad = [&](std::string_view why) {
        return fail({.kind = ErrorKind::configuration,
                     .code = "bad_url",
                     .message = fmt::format("an URL {}", why),
                     .hint = "write https://host, or http://127.0.0.1:port for a server on this machine"});
    };
    bool http = url.starts_with("http://"), https = url.starts_with("https://");
    if (!http && !https) return bad("begins with neither https:// nor http://");
    auto end = std::min(url.find_first_of("/?#", begin), url.size());
    auto authority = url.substr(begin, end - begin);
    if (authority.empty()) return bad("names no host");
    if (authority.find('@') != authority.npos || authority.find_first_of(" \t\r\n\\") != authority.npos)
        return bad("has a user's name or blanks in its host");
    Origin origin{.text = lower_case(url.substr(0, end)), .host = "", .encrypted = https};
    if (authority.starts_with('[')) origin.host = lower_case(authority.substr(1, authority.find(']') - 1));
    else origin.host = lower_case(authority.substr(0, authority.find(':')));
    return origin;
}

std::string path_of(std::string_view url) {
    auto begin = authority_begin(url);
    auto slash = url.find('/', begin == url.npos ? 0 : begin);
    return slash == url.npos ? "/" : std::string(url.substr(slash));
}

}  // namespace penstock::io
