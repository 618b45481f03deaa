#include "io/url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "base/letters.h"

namespace penstock::io {
namespace {

size_t authority_begin(std::string_view url) {
    auto scheme = url.find("://");
    return scheme == url.npos ? url.npos : scheme + 3;
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

Result<std::string> resolve_url(const std::string& base, const std::string& reference) {
    std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
    char* whole = nullptr;
    bool good = url != nullptr && curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) == CURLUE_OK &&
                curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), CURLU_URLENCODE) == CURLUE_OK &&
                curl_url_get(url.get(), CURLUPART_URL, &whole, 0) == CURLUE_OK;
    std::unique_ptr<char, decltype(&curl_free)> kept(whole, curl_free);
    if (good) return std::string(kept.get());
    return fail({.kind = ErrorKind::data, .code = "bad_url", .message = "what should be an URL is none"});
}

std::string path_of(std::string_view url) {
    auto begin = authority_begin(url);
    auto slash = url.find('/', begin == url.npos ? 0 : begin);
    return slash == url.npos ? "/" : std::string(url.substr(slash));
}

}  // namespace penstock::io
