#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/pipeline.h"
#include "flow/component.h"
#include "flow/messages.h"
#include "flow/payload.h"
#include "flow/shared_messages.h"
#include "flow/shared_stream.h"
#include "flow/source.h"
#include "transform/archive/archive.h"
#include "transform/events/event_table.h"
#include "transform/events/router.h"
#include "transform/events/scan.h"
#include "transform/events/shared_position.h"

namespace penstock::events {

/// What a source of events works from.
struct EventOptions {
    std::string pipeline;
    config::Route route;
    std::optional<config::Archive> archive = {};
    std::function<Result<std::shared_ptr<io::ObjectStore>>()> open_archive = {};
    /// Of payloads that are no JSON.
    std::shared_ptr<flow::PayloadDecoder> decoder = {};
    uint64_t memory_bytes = 0;  ///< of messages on their way
    bool follow = false;        ///< go on when everything was read
    std::chrono::microseconds commit_every{0};
    /// The stream's messages came before: positions stay where they are, nothing is archived, the tables begin nowhere anew.
    bool replays = false;
    bool at_once = false;  ///< a replay in one commit, whatever it takes

    /// Of a pipeline that has a `route`.
    static EventOptions of(const flow::BuildContext& context);
    /// Of `archive`, which there is.
    archive::ArchiveOptions archive_options() const;
};

/// Messages of a stream, each a row of the table that its route names:
///
///     discover   the routes' schemas; what waits in the stream
///     resume     where the target's checkpoint is
///     next       messages as they come, until there are enough or the first has waited; a part for each route
///     confirm    the stream lets go of what is durable
///
/// One position covers all tables: they commit together. What no route takes is a reject of a table that no target makes.
/// Where processes share the stream, each begins by a commit of nothing that claims its seat: whoever had it before commits no
/// more, and what he has shown in the archive and not committed is taken away.
class EventSource : public flow::Source, public flow::SharedSource {
  public:
    EventSource(EventOptions options, std::unique_ptr<flow::MessageStream> stream);

    /// Reads the schemas, without the stream.
    static Status check(const config::PipelineConfig& pipeline);

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status resume(std::optional<flow::Checkpoint> at) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t, const flow::Checkpoint&) override { return {}; }
    Status confirm_stream(const flow::Checkpoint& durable) override;

    bool may_share() const override { return messages_ != nullptr && messages_->may_share(); }
    void sit(flow::Seat seat) override { seat_ = std::move(seat); }
    bool is_shared() const override { return seat_.number > 0; }
    void look_by(flow::StreamLook look) override { look_ = std::move(look); }
    flow::StreamMerge merge() override;

  private:
    using Clock = std::chrono::steady_clock;
    /// A seat that the commit under way takes.
    struct Claim {
        int number;
        std::shared_ptr<void> held;  ///< of a process that is gone
        SharedPosition::Seat at = {};
    };

    bool enough(Clock::time_point since) const;
    Status open_archive(bool anew);
    Result<size_t> recover_archive(const std::string& writer, std::string_view committed);
    // source_shared.cc
    Status open_shared();
    Result<bool> claims();
    Result<flow::Checkpoint> merge_into(const std::optional<flow::Checkpoint>& newest);
    Result<flow::Checkpoint> claim_in(const std::optional<flow::Checkpoint>& newest);
    Status claimed();
    std::string archived_at(const flow::Checkpoint& stream) const;
    Status divide(size_t from);
    Result<bool> decode(flow::Message& message, Refusal& refusal);
    Status keep(const flow::Message& message, int route);
    Result<flow::Segment> segment();
    Result<flow::Segment> without_messages();

    EventOptions options_;
    std::unique_ptr<flow::MessageStream> stream_;
    flow::SharedMessages* messages_;  ///< the same, where it can be shared; else null
    std::stop_token stop_;
    std::vector<std::unique_ptr<EventTable>> tables_;
    Router router_;
    JsonIndexer indexer_;
    std::string decoded_;
    std::optional<flow::Checkpoint> from_;
    int64_t received_ = 0;                                    // when the newest message was
    std::vector<std::optional<flow::ScanContext>> contexts_;  // by table, the unrouted last
    std::vector<flow::Checkpoint> given_;                     // likewise; a replay leaves them

    void begin_batch();

    std::shared_ptr<IndexedBatch> batch_;
    std::shared_ptr<IndexedBatch> given_out_;    // of the last segment; its memory is fresh no more, and cheaper for it
    std::vector<std::vector<uint32_t>> events_;  // by table
    std::shared_ptr<io::ObjectStore> store_;
    std::unique_ptr<archive::ArchiveWriter> archive_;
    std::vector<Unrouted> unrouted_;

    // -- of a stream that is shared
    flow::Seat seat_;
    flow::StreamLook look_;
    std::optional<SharedPosition::Seat> own_;      ///< as the target has it; nothing: not claimed yet
    std::map<int, SharedPosition::Seat> seats_;    ///< of all, as the target had them when it was last seen
    std::map<int, SharedPosition::Seat> settled_;  ///< whose owners were gone, when this process had taken them
    std::vector<Claim> claims_;                    ///< of the commit under way; none: it is of a segment
    Clock::time_point look_for_gone_ = {};
    bool ended_ = false;  ///< the stream was drained
    std::string told_;    ///< the position of the last commit that has none of its messages
};

}  // namespace penstock::events
