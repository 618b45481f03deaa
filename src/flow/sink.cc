#include "flow/sink.h"

#include <fmt/format.h>

namespace penstock::flow {

Error rejects_closed(const TableTarget& target, int64_t open) {
    return {.kind = ErrorKind::refused,
            .code = "rejects_closed",
            .message = fmt::format("{} of the {} rejects of {} to replay were replayed or discarded meanwhile",
                                   static_cast<int64_t>(target.replays.size()) - open, target.replays.size(),
                                   target.info.name),
            .hint = "nothing was written; `penstock rejects list` shows what is still open, replay that"};
}

}  // namespace penstock::flow
