#include "config/trigger.h"

#include <algorithm>
#include <string_view>

#include "config/mistake.h"

namespace penstock::config {
namespace {

Status check_trigger(const Trigger& trigger, const Node&) {
    constexpr std::string_view own[] = {"/healthz", "/readyz", "/metrics", "/runs", "/api"};
    const std::string& path = trigger.http.value;
    bool formed =
        path.size() > 1 && path.starts_with('/') && std::ranges::all_of(path, [](unsigned char c) {
            return std::isalnum(c) || std::string_view("/_-.~").find(static_cast<char>(c)) != std::string_view::npos;
        });
    if (!formed || path.ends_with('/'))
        return fail(mistake(trigger.http, "bad_path", "`http` is no path such as /billing",
                            "a slash, then letters, digits and / _ - . ~"));
    for (auto taken : own)
        if (path == taken || path.starts_with(std::string(taken) + "/"))
            return fail(mistake(trigger.http, "path_taken", path + " is a path of the server itself",
                                "choose another one, such as /billing"));
    if (trigger.audience.empty() != trigger.service_account.empty())
        return fail(
            mistake(trigger.http, "half_guarded",
                    "`audience` and `service_account` belong together: every service account on earth can get a "
                    "token for any audience",
                    "give both, or neither"));
    if (!trigger.audience.empty() && !trigger.push)
        return fail(mistake(trigger.http, "option_without_effect",
                            "`audience` is for messages that a push subscription signs",
                            "add `pubsub_push: true`, or guard the path with `token`"));
    return {};
}

}  // namespace

const Spec<Trigger>& trigger_spec() {
    using T = Trigger;
    static const auto made =
        Spec<T>("trigger", "How a message from outside starts the pipeline, in `penstock serve`.")
            .required("http", &T::http, "The path that takes messages by POST.", {.example = "/billing"})
            .field("pubsub_push", &T::push,
                   "Messages also come in the envelope of a Pub/Sub push subscription, and are answered so that only "
                   "what should be is delivered again.")
            .field("audience", &T::audience, "The audience in the identity tokens of the push subscription.",
                   {.example = "https://etl.example.com/billing"})
            .field("service_account", &T::service_account, "The account that the push subscription signs as.",
                   {.example = "pusher@project.iam.gserviceaccount.com"})
            .field("keys", &T::keys, "Where the keys lie by which identity tokens are checked (JWKS).")
            .field("token", &T::token, "What a sender has to show as `Authorization: Bearer …`.",
                   {.example = "${BILLING_TOKEN}"})
            .field("schema", &T::schema, "A JSON Schema (draft 7) that messages must hold.",
                   {.example = "billing-message.json"})
            .field("max_bytes", &T::max_bytes, "What a larger request is refused for.")
            .field("timeout", &T::timeout,
                   "How long a request waits for the end of its runs. They go on; a message delivered again finds them "
                   "done. Below the acknowledgement deadline of the subscription.")
            .check(check_trigger);
    return made;
}

}  // namespace penstock::config
