#include "config/lineage.h"

#include "config/mistake.h"

namespace penstock::config {
namespace {

/// "marquez:5000" of "http://marquez:5000/x".
std::string_view authority_of(std::string_view url) {
    auto begin = url.find("://") + 3;
    return url.substr(begin, url.find_first_of("/?#", begin) - begin);
}

bool is_loopback(std::string_view authority) {
    auto host = authority.substr(0, authority.starts_with('[') ? authority.find(']') + 1 : authority.find(':'));
    return host == "localhost" || host.starts_with("127.") || host == "[::1]";
}

bool breaks(const std::string& text) { return text.find_first_of("\r\n") != std::string::npos; }

Status check_url(const Lineage& options) {
    const auto& url = options.url.value;
    bool encrypted = url.starts_with("https://");
    if ((!encrypted && !url.starts_with("http://")) || authority_of(url).empty() || breaks(url))
        return refuse(options.url, "bad_url", "`url` is no URL of a server", "write https://host");
    if (authority_of(url).find('@') != std::string_view::npos)
        return refuse(options.url, "bad_url", "`url` holds a user's name", "use `token` or `headers`");
    bool secret = !options.token.empty() || !options.headers.empty();
    if (secret && !encrypted && !is_loopback(authority_of(url)))
        return refuse(options.url, "credentials_in_the_clear",
                      "`token` and `headers` are never sent over a network without encryption", "write https://");
    if (!options.endpoint.value.starts_with('/') || breaks(options.endpoint.value))
        return refuse(options.endpoint, "bad_url", "`endpoint` is no path", "such as /api/v1/lineage");
    return {};
}

Status check_headers(const Lineage& options) {
    if (breaks(options.token.reveal()))
        return refuse(options.url, "bad_header", "the token has a line break",
                      "one that ends a file is best cut off there");
    for (const auto& [name, value] : options.headers)
        if (name.empty() || name.find_first_of(": \t\r\n") != std::string::npos || breaks(value.reveal()))
            return refuse(options.url, "bad_header", "a header has a line break, or a name that is none",
                          "names have letters, digits and dashes");
    return {};
}

}  // namespace

const Spec<Lineage>& lineage_spec() {
    using L = Lineage;
    static const auto made =
        Spec<L>("lineage", "Where OpenLineage's events of runs go: to a server or into a file.")
            .field("url", &L::url, "The server, such as Marquez.", {.example = "https://marquez.example.com"})
            .field("file", &L::file, "A file that each event is appended to as a line, instead of a server.",
                   {.example = "lineage.ndjson"})
            .field("namespace", &L::name_space, "The namespace of the pipelines as jobs.", {.example = "shop"})
            .field("endpoint", &L::endpoint, "The path at the server.")
            .field("token", &L::token, "Sent as `Authorization: Bearer …`.", {.example = "\"${MARQUEZ_TOKEN}\""})
            .field("headers", &L::headers, "More headers. Their values are never shown.",
                   {.example = "{X-Tenant: \"${TENANT}\"}"})
            .field("ca", &L::ca, "Certificates to trust instead of the system's (PEM).", {.example = "ca.pem"})
            .field("timeout", &L::timeout, "How long to wait for the whole of one answer.")
            .one_of({"url", "file"})
            .check([](const L& options, const Node&) -> Status {
                if (options.url.empty()) return {};
                PN_CHECK(check_url(options));
                return check_headers(options);
            });
    return made;
}

}  // namespace penstock::config
