// What a source of events does besides where other processes share its stream.
#include <fmt/format.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "transform/events/source.h"

namespace penstock::events {
namespace {

/// A seat whose process was killed and not begun again is looked after by the others.
constexpr auto between_looks = std::chrono::seconds(30);

}  // namespace

Status EventSource::open_shared() {
    messages_->share([this]() -> Result<std::optional<std::string>> {
        PN_TRY(auto newest, look_());
        PN_TRY(auto held, SharedPosition::of(newest));
        seats_ = std::move(held.seats);
        return std::move(held.stream);
    });
    return {};
}

/// Whether the next commit is one of seats. Without an archive nothing depends on who has which.
Result<bool> EventSource::claims() {
    if (!is_shared() || !archive_ || Clock::now() < look_for_gone_) return false;
    look_for_gone_ = Clock::now() + between_looks;
    claims_.clear();
    if (!own_) claims_.push_back({.number = seat_.number, .held = nullptr});
    for (const auto& [number, seat] : seats_) {
        auto settled = settled_.find(number);
        if (number == seat_.number || (settled != settled_.end() && settled->second == seat)) continue;
        PN_TRY(auto held, seat_.take(number));
        if (held) claims_.push_back({.number = number, .held = std::move(held)});
    }
    return !claims_.empty();
}

flow::StreamMerge EventSource::merge() {
    return [this](const std::optional<flow::Checkpoint>& newest) {
        return claims_.empty() ? merge_into(newest) : claim_in(newest);
    };
}

Result<flow::Checkpoint> EventSource::claim_in(const std::optional<flow::Checkpoint>& newest) {
    PN_TRY(auto held, SharedPosition::of(newest));
    for (auto& claim : claims_) {
        auto& seat = held.seats[claim.number];
        ++seat.taken;
        claim.at = seat;
    }
    seats_ = held.seats;
    return flow::Checkpoint{.cursor_from = "", .cursor_to = "", .position = held.to_json(), .read_at = now()};
}

Result<flow::Checkpoint> EventSource::merge_into(const std::optional<flow::Checkpoint>& newest) {
    PN_TRY(auto held, SharedPosition::of(newest));
    if (own_) {
        auto& seat = held.seats[seat_.number];
        if (seat != *own_)
            return fail(flow::part_moved(
                fmt::format("seat {} of pipeline {} was taken by another process", seat_.number, options_.pipeline)));
        ++seat.segment;
    }
    PN_TRY(held.stream, messages_->merge(held.stream));
    seats_ = held.seats;
    return flow::Checkpoint{.cursor_from = "", .cursor_to = "", .position = held.to_json(), .read_at = now()};
}

/// From here on nobody else commits for these seats: what they have shown and not committed goes.
Status EventSource::claimed() {
    for (const auto& claim : claims_) {
        PN_TRY(size_t removed,
               recover_archive(std::to_string(claim.number), archive_position(claim.number, claim.at.segment)));
        if (removed > 0)
            log::info("{} objects of a process that had seat {} and is gone are written again", removed, claim.number);
        if (claim.number == seat_.number) own_ = claim.at;
        else settled_[claim.number] = claim.at;
    }
    claims_.clear();
    return {};
}

/// How far the part is, and no rows.
Result<flow::Segment> EventSource::without_messages() {
    flow::Segment out{
        .parts = {},
        .stream = flow::Checkpoint{.cursor_from = "", .cursor_to = "", .position = told_, .read_at = now()}};
    if (archive_) PN_CHECK(archive_->publish(archived_at(*out.stream)));
    return out;
}

/// Of the objects of the segment that ends here.
std::string EventSource::archived_at(const flow::Checkpoint& stream) const {
    return own_ ? archive_position(seat_.number, own_->segment + 1) : stream.position;
}

}  // namespace penstock::events
