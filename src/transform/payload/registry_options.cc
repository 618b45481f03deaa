#include "transform/payload/registry_options.h"

#include "io/url.h"

namespace penstock::payload {
namespace {

Status check_registry(const RegistryOptions& options, const config::Node& node) {
    auto origin = io::origin_of(options.url.value);
    if (!origin)
        return fail(config::problem(*node.find("url"), "bad_url", "`url` is no http:// or https:// URL",
                                    "write url: https://registry.example.com; user and password are options"));
    bool proves = !options.password.empty() || !options.token.empty();
    if (proves && !origin->encrypted && !origin->is_loopback())
        return fail(config::problem(*node.find("url"), "secret_in_the_clear",
                                    "the registry's password or token would be sent without encryption",
                                    "write an https:// URL"));
    if (!options.token.empty() && !options.password.empty())
        return fail(config::problem(*node.find("token"), "two_ways_to_prove", "both `token` and `password` are given",
                                    "leave one of them out"));
    return {};
}

}  // namespace

const config::Spec<RegistryOptions>& registry_spec() {
    using R = RegistryOptions;
    static const auto made =
        config::Spec<R>("schema_registry",
                        "A registry with Confluent's API, where writers' schemas are: Confluent's, Apicurio's "
                        "(`…/apis/ccompat/v7`), Karapace, Redpanda's.")
            .required("url", &R::url, "Where its paths `/schemas` and `/subjects` begin.",
                      {.example = "https://registry.example.com"})
            .field("username", &R::username, "Who we are, or the key of an API.")
            .field("password", &R::password, "The password, or the API key's secret.",
                   {.example = "${REGISTRY_PASSWORD}"})
            .field("token", &R::token, "Sent as `Authorization: Bearer`, instead of user and password.")
            .field("ca", &R::ca, "Certificates of the authorities that are trusted (PEM).",
                   {.example = "ca.pem", .default_note = "those the system trusts"})
            .requires_other("username", "password")
            .requires_other("password", "username")
            .check(check_registry);
    return made;
}

}  // namespace penstock::payload
