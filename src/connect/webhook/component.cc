#include "connect/webhook/component.h"

#include "connect/webhook/options.h"

namespace penstock::webhook {

const flow::Component& component() {
    static const flow::Component made = {
        .type = "webhook",
        .doc =
            "Slack, and every URL that takes JSON: whom `notify` tells of runs that fail, recover, are late or missed.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
    };
    return made;
}

}  // namespace penstock::webhook
