#include "config/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/digest.h"

namespace penstock::config {
namespace {

constexpr size_t least_token = 16;

std::unexpected<Error> refuse(const Place& place, std::string code, std::string message, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = std::move(code),
                 .message = std::move(message),
                 .where = place.text(),
                 .hint = std::move(hint)});
}

Status check_token(const ApiToken& token, const Node& node) {
    if (!token.token.empty() && token.token.reveal().size() < least_token)
        return refuse(
            node.place, "weak_token",
            fmt::format("token '{}' is shorter than {} characters and can be guessed", token.name.value, least_token),
            "make one: `openssl rand -hex 32`");
    auto is_digit = [](unsigned char c) { return std::isxdigit(c) != 0; };
    if (!token.sha256.empty() && (token.sha256.size() != 64 || !std::ranges::all_of(token.sha256, is_digit)))
        return refuse(node.place, "bad_digest", fmt::format("token '{}': `sha256` is no SHA-256", token.name.value),
                      "64 hexadecimal digits: `printf %s \"$TOKEN\" | sha256sum`");
    return {};
}

Status check_names(const Api& api, const Node&) {
    std::set<std::string> names, digests;
    for (const auto& token : api.tokens) {
        if (!names.insert(token.value.name.value).second)
            return refuse(token.value.name.place, "name_twice",
                          fmt::format("two tokens have the name '{}'", token.value.name.value),
                          "the audit log could not tell them apart");
        if (!digests.insert(token.value.digest()).second)
            return refuse(token.place, "token_twice", "two entries have the same token",
                          "give each user a token of their own");
    }
    return {};
}

}  // namespace

std::string_view to_string(Role role) {
    switch (role) {
        case Role::viewer: return "viewer";
        case Role::operate: return "operator";
        case Role::admin: return "admin";
    }
    std::unreachable();
}

std::string ApiToken::digest() const {
    if (sha256.empty()) return sha256_hex(token.reveal());
    std::string lower = sha256;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return lower;
}

const Spec<ApiToken>& api_token_spec() {
    using T = ApiToken;
    static const auto made =
        Spec<T>("token", "Somebody who may use the HTTP API.")
            .required("name", &T::name, "Whose it is; the audit log shows it.", {.example = "anna"})
            .choice("role", &T::role,
                    {{"viewer", Role::viewer, "Sees everything but values of rejected rows."},
                     {"operator", Role::operate, "And sees those, runs, pauses, resumes, backfills, replays."},
                     {"admin", Role::admin, "And lets rejected rows go, and sees the audit log."}},
                    "What its owner may do.")
            .field("token", &T::token, "The token, by a reference.", {.example = "\"${ANNAS_TOKEN}\""})
            .field("sha256", &T::sha256, "Or its SHA-256 in hexadecimal digits, which need not be kept secret.",
                   {.example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"})
            .one_of({"token", "sha256"})
            .check(check_token);
    return made;
}

const Spec<Api>& api_spec() {
    static const auto made =
        Spec<Api>("api", "Who may use the HTTP API of `penstock serve`.")
            .field("tokens", &Api::tokens, api_token_spec(),
                   "One for each user. Without any, this machine alone may look, and nobody may do anything.",
                   {.example = "[{name: anna, role: operator, token: \"${ANNAS_TOKEN}\"}]"})
            .check(check_names);
    return made;
}

}  // namespace penstock::config
