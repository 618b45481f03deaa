#include "connect/webhook/component.h"

#include <nlohmann/json.hpp>

#include "connect/webhook/options.h"
#include "connect/webhook/send.h"

namespace penstock::webhook {

namespace {

io::Delivery tell(const config::Node& connection, const nlohmann::ordered_json& news, std::stop_token stop) {
    auto options = connection_spec().parse(connection);
    if (!options) return {.why = options.error().message};
    return send(*options, news, std::move(stop));
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "webhook",
        .doc =
            "Slack, and every URL that takes JSON: whom `notify` tells of runs that fail, recover, are late, missed or "
            "stopped by their budget.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .tell = tell,
    };
    return made;
}

}  // namespace penstock::webhook
