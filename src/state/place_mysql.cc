// mysql://user:password@host:port/database?ssl_ca=…
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "state/place_url.h"

namespace penstock::state {
namespace {

struct MysqlUrl {
    std::string user, password, host = "127.0.0.1", port = "3306", database;
    std::map<std::string, std::string> parameters;
};

constexpr const char* form =
    "write mysql://user:password@host:3306/database; characters such as @ : / ? # % in a password "
    "are written as %40 %3A %2F %3F %23 %25";

Result<std::string> decoded(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            out += text[at];
            continue;
        }
        auto digits = text.substr(at + 1, 2);
        if (digits.size() != 2 || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos || digits == "00")
            return fail(url_error("the URL has a % that begins no code", form));
        out += static_cast<char>(std::stoi(std::string(digits), nullptr, 16));
        at += 2;
    }
    return out;
}

/// The text before the separator; the rest stays in `text`. Without one it is all of it.
std::string_view take(std::string_view& text, char separator) {
    auto end = std::min(text.find(separator), text.size());
    auto head = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return head;
}

Status read_host(std::string_view text, MysqlUrl& url) {
    if (text.starts_with('[')) {
        auto end = text.find(']');
        if (end == text.npos) return fail(url_error("the URL has a [ without its ]", form));
        url.host = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
    } else {
        auto host = text.substr(0, text.find(':'));
        text.remove_prefix(host.size());
        PN_TRY(auto name, decoded(host));
        if (!name.empty()) url.host = name;
    }
    if (text.empty()) return {};
    url.port = text.substr(1);
    bool digits = url.port.find_first_not_of("0123456789") == url.port.npos;
    if (text[0] != ':' || url.port.empty() || !digits || url.port.size() > 5 || std::stoi(url.port) > 65'535)
        return fail(url_error("the port in the URL is no number from 1 to 65535", form));
    return {};
}

Status read_parameters(std::string_view text, MysqlUrl& url) {
    while (!text.empty()) {
        auto value = take(text, '&');
        std::string name(take(value, '='));
        if (name != "ssl_mode" && name != "ssl_ca" && name != "ssl_cert" && name != "ssl_key" && name != "socket")
            return fail(url_error(
                "the URL has a parameter that is not known",
                "known are ssl_mode, ssl_ca, ssl_cert, ssl_key and socket; a ? in a password is written as %3F"));
        PN_TRY(url.parameters[name], decoded(value));
    }
    return {};
}

Result<MysqlUrl> read_url(std::string_view text) {
    MysqlUrl url;
    take(text, ':');
    if (!text.starts_with("//")) return fail(url_error("the URL is not understood", form));
    text.remove_prefix(2);
    auto address = take(text, '?');
    PN_CHECK(read_parameters(text, url));
    auto authority = take(address, '/');
    PN_TRY(url.database, decoded(address));
    if (url.database.empty()) return fail(url_error("the URL names no database", form));
    auto at = authority.rfind('@');
    if (at != authority.npos) {
        auto password = authority.substr(0, at);
        PN_TRY(url.user, decoded(take(password, ':')));
        PN_TRY(url.password, decoded(password));
        remember_secret(url.password);
        authority.remove_prefix(at + 1);
    }
    if (url.user.empty()) return fail(url_error("the URL names no user", form));
    PN_CHECK(read_host(authority, url));
    return url;
}

enum class Tls { disabled, required, verify_identity };

Result<Tls> tls_of(const MysqlUrl& url) {
    auto mode = url.parameters.find("ssl_mode");
    if (mode == url.parameters.end()) {
        bool local = is_loopback(url.host) || url.parameters.contains("socket");
        return local && !url.parameters.contains("ssl_ca") ? Tls::disabled : Tls::verify_identity;
    }
    std::string name = mode->second;
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c == '-' ? '_' : static_cast<char>(std::tolower(c)); });
    if (name == "disabled") return Tls::disabled;
    if (name == "required") return Tls::required;
    if (name == "verify_identity") return Tls::verify_identity;
    return fail(
        url_error("ssl_mode in the URL is not known",
                  "write disabled, required (encrypted, but anybody may pose as the server) or verify_identity"));
}

/// The library takes what has no parameter of its own in SOCI as a list in place of the host.
Result<std::string> host_of(const MysqlUrl& url, Tls tls, const std::filesystem::path& directory) {
    std::string list = fmt::format("host={};protocol=1", url.host);  // TCP; "localhost" alone would mean a socket
    if (tls == Tls::required) list += ";ssl-enforce=1";
    if (tls == Tls::verify_identity) list += ";ssl-verify-server-cert=1";
    for (std::string name : {"ssl_ca", "ssl_cert", "ssl_key"}) {
        auto found = url.parameters.find(name);
        if (found == url.parameters.end()) continue;
        if (tls == Tls::disabled)
            return fail(url_error(fmt::format("the URL has {}, and ssl_mode=disabled", name), "leave out one of them"));
        name[3] = '-';
        list += fmt::format(";{}={}", name, (directory / found->second).string());
    }
    return list;
}

}  // namespace

Result<Place> mysql_place(const std::string& text, const std::filesystem::path& directory) {
    PN_TRY(auto url, read_url(text));
    PN_TRY(auto tls, tls_of(url));
    PN_TRY(auto host, host_of(url, tls, directory));
    bool plain = url.host.find_first_of(";{}=") == url.host.npos;  // they would end an entry of the list
    for (const auto& [name, value] : url.parameters) plain = plain && value.find_first_of(";{}") == value.npos;
    if (!plain) return fail(url_error("a path or name in the URL holds a ; or a brace", "choose another path"));
    std::string connect =
        fmt::format("user={} password={} db={} charset=utf8mb4 connect_timeout=5 read_timeout=60 write_timeout=60",
                    connection_value(url.user), connection_value(url.password), connection_value(url.database));
    auto socket = url.parameters.find("socket");
    if (socket != url.parameters.end())
        connect += fmt::format(" unix_socket={}", connection_value((directory / socket->second).string()));
    else connect += fmt::format(" host={} port={}", connection_value(host), url.port);
    std::string where = socket != url.parameters.end() ? socket->second : fmt::format("{}:{}", url.host, url.port);
    return Place{.engine = Engine::mysql,
                 .connect = Secret(connect),
                 .shown = fmt::format("MySQL at {}/{}", where, url.database),
                 .local = is_loopback(url.host) || socket != url.parameters.end(),
                 .encrypted = tls != Tls::disabled};
}

}  // namespace penstock::state
