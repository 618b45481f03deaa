#include "io/delivery.h"

#include <fmt/format.h>

#include "io/retry.h"

namespace penstock::io {
namespace {

constexpr auto longest_wait = std::chrono::hours(1);

}  // namespace

Delivery delivery_of(const Result<Response>& answer) {
    if (!answer) {
        auto kind = answer.error().kind;
        return {.passing = kind == ErrorKind::unavailable || kind == ErrorKind::interrupted,
                .why = answer.error().message};
    }
    if (answer->good()) return {.delivered = true, .why = ""};
    int status = answer->status;
    bool passing = status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501 && status != 505);
    return {.passing = passing,
            .wait = retry_after(*answer, longest_wait),
            .why = fmt::format("the receiver answered with status {}", status)};
}

}  // namespace penstock::io
