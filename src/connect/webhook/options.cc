#include "connect/webhook/options.h"

#include "config/spec.h"
#include "io/url.h"

namespace penstock::webhook {
namespace {

std::unexpected<Error> refuse(const config::Node& node, const char* key, std::string code, std::string message,
                              std::string hint) {
    const auto* found = node.find(key);
    return fail({.kind = ErrorKind::configuration,
                 .code = std::move(code),
                 .message = std::move(message),
                 .where = (found == nullptr ? node.place : found->place).text(),
                 .hint = std::move(hint)});
}

Status check_connection(const ConnectionOptions& options, const config::Node& node) {
    auto origin = io::origin_of(options.url.reveal());
    if (!origin) return refuse(node, "url", "bad_url", "`url` is no URL of a webhook", "write https://host/path");
    if (!origin->encrypted && !origin->is_loopback())
        return refuse(node, "url", "credentials_in_the_clear",
                      "`url` is itself a secret, which is never sent over a network without encryption",
                      "write https://");
    auto breaks = [](const std::string& text) { return text.find_first_of("\r\n") != std::string::npos; };
    if (breaks(options.bearer.reveal()))
        return refuse(node, "bearer", "bad_header", "the token has a line break",
                      "one that ends a file is best cut off there");
    for (const auto& [name, value] : options.headers)
        if (name.empty() || name.find_first_of(": \t\r\n") != std::string::npos || breaks(value.reveal()))
            return refuse(node, "headers", "bad_header", "a header has a line break, or a name that is none",
                          "names have letters, digits and dashes");
    return {};
}

}  // namespace

Form form_of(const ConnectionOptions& options) {
    if (options.form != Form::automatic) return options.form;
    auto origin = io::origin_of(options.url.reveal());
    bool is_slack = origin && (origin->host == "hooks.slack.com" || origin->host == "hooks.slack-gov.com");
    return is_slack ? Form::slack : Form::json;
}

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("webhook connection", "An URL that is told of runs by POST.")
            .include(config::connection_spec())
            .required("url", &C::url, "Where to. It is shown nowhere, because whoever knows it may write.",
                      {.example = "\"${SLACK_URL}\""})
            .choice("format", &C::form,
                    {{"auto", Form::automatic, "Slack's for hooks.slack.com, JSON for others."},
                     {"slack", Form::slack, "A text, as Slack and those that understand Slack take it."},
                     {"json", Form::json, "All that is known, as JSON."}},
                    "What is sent.")
            .field("bearer", &C::bearer, "A token, sent as `Authorization: Bearer …`.",
                   {.example = "\"${HOOK_TOKEN}\""})
            .field("headers", &C::headers, "More headers. Their values are never shown.",
                   {.example = "{X-Routing-Key: \"${KEY}\"}"})
            .field("ca", &C::ca, "Certificates to trust instead of the system's (PEM).", {.example = "ca.pem"})
            .field("timeout", &C::timeout, "How long to wait for the whole of one answer.")
            .check(check_connection);
    return made;
}

}  // namespace penstock::webhook
