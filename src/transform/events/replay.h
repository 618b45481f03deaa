#pragma once

#include <memory>
#include <vector>

#include "flow/ledger.h"
#include "flow/source.h"
#include "transform/archive/message_stream.h"
#include "transform/events/source.h"

namespace penstock::events {

/// What the pipeline's archive has of a time.
Result<std::unique_ptr<archive::ArchiveStream>> archive_stream(const EventOptions& options, archive::ReplayRange range);

/// The same messages for the pipeline's tables once more, as its routes and schemas are now.
Result<std::unique_ptr<flow::Source>> replay_archive(EventOptions options, archive::ReplayRange range);

/// Messages that were rejected, out of their records, in one commit: whoever commits it marks them as replayed, all of them
/// with the table of those without a route. Of each there is Reject::source_position, or it was no message: see is_message.
std::unique_ptr<flow::Source> replay_rejects(EventOptions options, const std::vector<flow::RejectRecord>& rejects);

/// Whether the reject holds a message as it came. A row that the target refused is recorded as a row.
bool is_message(const flow::Reject& reject);

}  // namespace penstock::events
