#include "connect/smtp/component.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "connect/smtp/mail.h"
#include "connect/smtp/options.h"
#include "connect/smtp/send.h"

namespace penstock::smtp {
namespace {

io::Delivery tell(const config::Node& connection, const nlohmann::ordered_json& news, std::stop_token stop) {
    auto options = connection_spec().parse(connection);
    if (!options) return {.why = options.error().message};
    return send(*options, mail_of(*options, news, now()), std::move(stop));
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "smtp",
        .doc =
            "A mail server: whom `notify` tells of runs that fail, recover, are late or missed or stopped by their "
            "budget.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .tell = tell,
    };
    return made;
}

}  // namespace penstock::smtp
