#include "connect/smtp/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/mistake.h"
#include "config/spec.h"

namespace penstock::smtp {
namespace {

using config::refuse;

/// An address alone, in the letters that every server takes: nothing that could end the line or the command.
bool is_address(std::string_view text) {
    auto at = text.find('@');
    if (at == 0 || at == text.npos || at + 1 == text.size() || text.size() > 254 || text.find('@', at + 1) != text.npos)
        return false;
    return std::ranges::all_of(text, [](unsigned char c) {
        return c > ' ' && c < 127 &&
               std::string_view("<>(),;:\\\"[]").find(static_cast<char>(c)) == std::string_view::npos;
    });
}

bool is_host(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
    });
}

bool is_loopback(std::string_view host) { return host == "localhost" || host.starts_with("127.") || host == "[::1]"; }

Status check_connection(const ConnectionOptions& options, const config::Node&) {
    if (!is_host(options.host.value))
        return refuse(options.host, "bad_host", fmt::format("'{}' is no host", options.host.value),
                      "a name or an address alone, such as smtp.example.com; the port is `port`");
    if (options.tls == Tls::none && !options.password.empty() && !is_loopback(options.host.value))
        return refuse(options.host, "credentials_in_the_clear",
                      "the password would be sent over a network without encryption", "leave out `tls: none`");
    std::vector<config::Text> all = options.to;
    all.push_back(options.from);
    for (const auto& address : all)
        if (!is_address(address.value))
            return refuse(address, "bad_address", fmt::format("'{}' is no address", address.value),
                          "an address alone, such as ops@example.com");
    if (options.to.empty())
        return refuse(options.from, "bad_address", "nobody is named that mail is sent to",
                      "add `to: [ops@example.com]`");
    return {};
}

}  // namespace

int64_t ConnectionOptions::port_or_default() const {
    if (port) return *port;
    switch (tls) {
        case Tls::starttls: return 587;
        case Tls::wrapped: return 465;
        case Tls::none: return 25;
    }
    std::unreachable();
}

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("smtp connection", "A mail server that `notify` sends mail by.")
            .include(config::connection_spec())
            .required("host", &C::host, "The server.", {.example = "smtp.example.com"})
            .field("port", &C::port, "Its port.",
                   {.default_note = "587; with `tls: wrapped` 465, with `tls: none` 25", .least = 1, .most = 65535})
            .choice("tls", &C::tls,
                    {{"starttls", Tls::starttls, "Encryption begins by STARTTLS; without it nothing is sent."},
                     {"wrapped", Tls::wrapped, "The connection is encrypted from its begin."},
                     {"none", Tls::none, "No encryption: for a server on this machine."}},
                    "How the connection is encrypted.")
            .field("user", &C::user, "Who logs in. Without it nobody does.", {.example = "penstock"})
            .field("password", &C::password, "The user's password, or a token that stands for it.",
                   {.example = "\"${SMTP_PASSWORD}\""})
            .required("from", &C::from, "The sender's address.", {.example = "penstock@example.com"})
            .required("to", &C::to, "The addresses that each mail goes to.", {.example = "[ops@example.com]"})
            .field("ca", &C::ca, "Certificates to trust instead of the system's (PEM).", {.example = "ca.pem"})
            .field("timeout", &C::timeout, "How long one mail may take.")
            .requires_other("user", "password")
            .requires_other("password", "user")
            .check(check_connection);
    return made;
}

}  // namespace penstock::smtp
