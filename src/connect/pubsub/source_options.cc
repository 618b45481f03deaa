#include "connect/pubsub/source_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/spec.h"

namespace penstock::pubsub {
namespace {

using namespace std::chrono_literals;

bool is_name(std::string_view name) {
    auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    auto fits = [&](char c) {
        return letter(c) || (c >= '0' && c <= '9') || std::string_view("-_.~+%").find(c) != std::string_view::npos;
    };
    return name.size() >= 3 && name.size() <= 255 && letter(name[0]) && !name.starts_with("goog") &&
           std::ranges::all_of(name, fits);
}

Error bad_option(const config::Node& node, const char* name, std::string code, std::string message, std::string hint) {
    const auto* given = node.find(name);
    return config::problem(given == nullptr ? node : *given, std::move(code), std::move(message), std::move(hint));
}

Status check_source(const SourceOptions& options, const config::Node& node) {
    if (options.lease < 10s || options.lease > 10min)
        return fail(bad_option(node, "lease", "bad_lease", "Pub/Sub leases messages for 10 seconds to 10 minutes",
                               "write lease: 60s"));
    if (options.longest_lease < options.lease)
        return fail(bad_option(node, "longest_lease", "bad_lease", "longest_lease is shorter than a lease",
                               "leave it out, or write longest_lease: 1h"));
    PN_CHECK(payload::check_format(options.payload(), node));
    ConnectionOptions any{.project = {.value = "any"}};
    PN_CHECK(subscription_of(any, options));
    return {};
}

}  // namespace

Result<std::string> subscription_of(const ConnectionOptions& connection, const SourceOptions& source) {
    const auto& given = source.subscription.value;
    constexpr std::string_view projects = "projects/", subscriptions = "/subscriptions/";
    auto at = given.find(subscriptions);
    bool full = given.starts_with(projects) && at != given.npos && at > projects.size();
    std::string name = full ? given.substr(at + subscriptions.size()) : given;
    if (!is_name(name))
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "bad_subscription",
             .message = fmt::format("\"{}\" cannot be a subscription: names have 3 to 255 characters, begin with "
                                    "a letter, and not with goog",
                                    given),
             .where = source.subscription.place.text(),
             .hint = "write its name, or projects/my-project/subscriptions/NAME"});
    return full ? given : fmt::format("projects/{}/subscriptions/{}", connection.project.value, name);
}

StreamOptions SourceOptions::stream(const std::string& subscription_name, uint64_t memory_bytes) const {
    // A segment takes up to half of the memory, and as much as a quarter waits for its turn. A message that waits takes
    // about twice its size.
    uint64_t bytes = std::clamp<uint64_t>(memory_bytes / 8, uint64_t{4} << 20, uint64_t{256} << 20);
    uint64_t outstanding = max_outstanding_bytes ? max_outstanding_bytes->count : memory_bytes / 2 + bytes;
    return {.subscription = subscription_name,
            .streaming = pull == PullBy::streaming,
            .idle = idle,
            .lease = std::chrono::duration_cast<std::chrono::seconds>(lease),
            .retry_for = retry_for,
            .limits = {.ledger = static_cast<size_t>(ledger),
                       .outstanding_messages = static_cast<size_t>(max_outstanding_messages),
                       .outstanding_bytes = outstanding,
                       .waiting_bytes = std::min(bytes, outstanding),
                       .longest_lease = longest_lease}};
}

const config::Spec<SourceOptions>& source_spec() {
    using S = SourceOptions;
    using payload::Format;
    static const auto made =
        config::Spec<S>("pubsub source",
                        "Events of any kind from a subscription, routed into tables. A message is acknowledged when it "
                        "is durable in the target, and given back when the run ends before.")
            .include(config::source_spec())
            .required("subscription", &S::subscription, "A pull subscription: its name, or projects/…/subscriptions/….",
                      {.example = "backend-events-sub"})
            .choice("format", &S::format,
                    {{"json", Format::json, "Events of any kind, a JSON object each; `route` says where they go."},
                     {"avro", Format::avro, "The same in Avro's binary encoding, by `schema`."},
                     {"protobuf", Format::protobuf, "The same in Protobuf's binary encoding, by `schema`."}},
                    "How the messages are written.")
            .field("schema", &S::schema, "The schema of all messages that are no JSON: .avsc or .proto.",
                   {.example = "schemas/order.avsc"})
            .field("message", &S::message, "The message type of a .proto `schema` that has several.",
                   {.example = "Order"})
            .choice(
                "pull", &S::pull,
                {{"streaming", PullBy::streaming, "one stream, by which messages come as they are published"},
                 {"unary", PullBy::unary, "a call for each thousand messages, for emulators whose streams are slow"}},
                "How messages are fetched.")
            .field("max_outstanding_messages", &S::max_outstanding_messages,
                   "Messages that were received and are not acknowledged, at most: the service holds back the rest, "
                   "for other processes.",
                   {.least = 1, .most = 10'000'000})
            .field("max_outstanding_bytes", &S::max_outstanding_bytes, "…and their bytes.",
                   {.default_note = "five eighths of the pipeline's share of memory"})
            .field("ledger", &S::ledger,
                   "How many message ids the target's checkpoint remembers, so that a message which comes again is "
                   "acknowledged and not loaded again. A commit takes half as many messages at most. Ids take one to "
                   "eight bytes; above 256 KiB fewer are kept.",
                   {.least = 100, .most = 10'000'000})
            .field("idle", &S::idle, "A run that drains ends when nothing has come for so long.")
            .field(
                "lease", &S::lease,
                "For how long the service keeps a message from others without hearing of it (10s to 10m). Leases are "
                "prolonged until the message is durable: this is how long a killed process holds it.")
            .field("longest_lease", &S::longest_lease, "How long a message's lease is prolonged at most.")
            .field("retry_for", &S::retry_for,
                   "How long a subscription that is out of reach is asked again before the run gives up.")
            .check(check_source);
    return made;
}

}  // namespace penstock::pubsub
