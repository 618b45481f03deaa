#include "transform/events/source.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"

namespace penstock::events {
namespace {

/// A commit of the target is worth one when there is much, or the first message has waited.
constexpr size_t segment_events = 500'000;
constexpr auto most_latency = std::chrono::milliseconds(500);

Error interrupted() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while waiting for events"};
}

Result<std::vector<std::unique_ptr<EventTable>>> tables_of(const config::Route& route) {
    std::vector<std::unique_ptr<EventTable>> tables;
    for (const auto& to : route.to) {
        PN_TRY(auto table, EventTable::make(to));
        tables.push_back(std::make_unique<EventTable>(std::move(table)));
    }
    return tables;
}

}  // namespace

archive::ArchiveOptions EventOptions::archive_options() const {
    using config::ArchiveCompression;
    const auto& from = *archive;
    archive::ArchiveOptions out{.path = from.path.value, .segment_bytes = from.object_bytes.count};
    out.by = from.by == config::ArchiveTime::sent ? archive::ArchiveTime::event : archive::ArchiveTime::ingestion;
    if (from.compression == ArchiveCompression::gzip) out.compression = archive::ArchiveCompression::gzip;
    if (from.compression == ArchiveCompression::zstd) out.compression = archive::ArchiveCompression::zstd;
    return out;
}

EventOptions EventOptions::of(const flow::BuildContext& context) {
    return {.pipeline = context.pipeline.name,
            .route = *context.pipeline.route,
            .archive = context.pipeline.archive,
            .open_archive = context.open_archive,
            .memory_bytes = context.memory_bytes,
            .follow = context.follow,
            .commit_every = context.commit_every};
}

EventSource::EventSource(EventOptions options, std::unique_ptr<flow::MessageStream> stream)
    : options_(std::move(options)),
      stream_(std::move(stream)),
      messages_(dynamic_cast<flow::SharedMessages*>(stream_.get())),
      router_(options_.route),
      batch_(std::make_shared<IndexedBatch>()),
      events_(options_.route.to.size()) {}

Status EventSource::check(const config::PipelineConfig& pipeline) {
    PN_CHECK(tables_of(*pipeline.route));
    if (!pipeline.archive) return {};
    auto good = archive::check_archive_path(pipeline.archive->path.value);
    if (!good) return fail(std::move(good.error()).at(pipeline.archive->path.place.text()));
    return {};
}

Result<std::vector<flow::TableInfo>> EventSource::discover(std::stop_token stop) {
    stop_ = stop;
    PN_FAILPOINT(source_connect_before);
    PN_TRY(tables_, tables_of(options_.route));
    PN_TRY(int64_t waiting, stream_->connect(stop));
    std::vector<flow::TableInfo> infos;
    for (const auto& table : tables_) infos.push_back(table->info);
    if (infos.size() == 1) infos[0].estimated_rows = waiting;
    infos.push_back({.name = unrouted_table});
    infos.back().rejects_only = true;
    return infos;
}

Status EventSource::resume(std::optional<flow::Checkpoint> at) {
    PN_TRY(auto held, SharedPosition::of(at));
    seats_ = std::move(held.seats);
    from_ = std::move(at);
    if (from_ && held.stream) from_->position = std::move(*held.stream);
    if (!held.stream) from_.reset();
    return {};
}

/// `--full-refresh` of a table begins anew, and no table can without the others.
Status EventSource::open(std::vector<flow::TableRead> tables) {
    contexts_ = std::vector<std::optional<flow::ScanContext>>(tables_.size() + 1);
    given_.assign(tables_.size() + 1, {});
    bool anew = false;
    for (auto& read : tables) {
        contexts_[read.table].emplace(read.context);
        given_[read.table] = read.from.value_or(flow::Checkpoint{});
        anew |= read.anew;
    }
    if (options_.replays) return stream_->begin(std::nullopt);
    PN_CHECK(open_archive(anew));
    if (is_shared()) PN_CHECK(open_shared());
    std::optional<std::string> begin;
    if (from_ && !anew) begin = from_->position;
    return stream_->begin(begin);
}

/// What a killed run has shown there and not committed is taken away, before it is shown again. Of processes that have shared the
/// stream nobody is left, or each looks after itself.
Status EventSource::open_archive(bool anew) {
    if (!options_.archive) return {};
    PN_TRY(store_, options_.open_archive());
    archive_ = std::make_unique<archive::ArchiveWriter>(*store_, options_.pipeline, options_.archive_options(),
                                                        is_shared() ? std::to_string(seat_.number) : "");
    size_t removed = 0;
    if (!is_shared()) {
        PN_TRY(removed, archive_->recover(from_ ? from_->position : ""));
        for (const auto& [number, seat] : seats_) {
            PN_TRY(size_t more, recover_archive(std::to_string(number), archive_position(number, seat.segment)));
            removed += more;
        }
    } else if (seats_.empty()) {
        PN_TRY(removed, recover_archive("", from_ ? from_->position : ""));
    }
    if (removed > 0) log::info("{} objects of a run that was cut off are written again", removed);
    if (anew && from_)
        log::warning("the archive keeps what it has of {}, and gets what is read again once more", options_.pipeline);
    return {};
}

/// That of a writer which is gone.
Result<size_t> EventSource::recover_archive(const std::string& writer, std::string_view committed) {
    archive::ArchiveWriter gone(*store_, options_.pipeline, options_.archive_options(), writer);
    PN_TRY(size_t removed, gone.recover(committed));
    PN_CHECK(gone.finish());
    return removed;
}

bool EventSource::enough(Clock::time_point since) const {
    if (is_shared() && messages_->hurried()) return true;
    auto waits = std::max<std::chrono::microseconds>(most_latency, options_.commit_every);
    if (archive_) {
        waits = std::max(waits, options_.archive->every);
        if (archive_->full()) return true;
    }
    return batch_->batch.messages.size() >= segment_events || batch_->bytes() >= options_.memory_bytes / 2 ||
           Clock::now() - since >= waits;
}

/// Which table gets which of the messages that came last.
Status EventSource::divide(size_t from) {
    Refusal refusal;
    for (size_t i = from; i < batch_->batch.messages.size(); ++i) {
        auto event = static_cast<uint32_t>(i);
        auto& message = batch_->batch.messages[i];
        // No two of a stream were received at once, so that the later of two rows of a key can be told.
        if (!options_.replays) received_ = message.received_micros = std::max(message.received_micros, received_ + 1);
        PN_TRY(bool readable, decode(message, refusal));
        batch_->indexes.push_back(indexer_.index(message.json(), batch_->index_memory));
        int route = readable ? router_.route(message.json(), batch_->indexes.back(), refusal) : Router::nowhere;
        if (route >= 0) events_[static_cast<size_t>(route)].push_back(event);
        else if (route == Router::filtered) unrouted_.push_back({event, {}});
        else unrouted_.push_back({event, std::exchange(refusal, {})});
        if (archive_) PN_CHECK(keep(message, route));
    }
    return {};
}

/// False with the refusal where it cannot be.
Result<bool> EventSource::decode(flow::Message& message, Refusal& refusal) {
    if (options_.decoder == nullptr) return true;
    PN_TRY(auto fault, options_.decoder->decode(message.payload, decoded_));
    message.document = batch_->batch.texts.keep(fault ? std::string_view("null") : decoded_);
    if (fault) refusal = {.column = "", .path = "", .code = std::move(fault->code), .reason = std::move(fault->reason)};
    return !fault;
}

Status EventSource::keep(const flow::Message& message, int route) {
    std::string_view name = route >= 0 ? std::string_view(tables_[static_cast<size_t>(route)]->route) : unrouted_table;
    return archive_->add(name, message, TimePoint(std::chrono::microseconds(message.sent_micros)));
}

/// Nobody has the last segment any more once the next is asked for, unless a reader is kept.
void EventSource::begin_batch() {
    given_out_.swap(batch_);
    if (batch_ && batch_.use_count() == 1) batch_->clear();
    else batch_ = std::make_shared<IndexedBatch>();
}

Result<flow::Segment> EventSource::segment() {
    flow::Segment out;
    auto at = now();
    // What a table's own row says; where the stream goes on is in the stream's.
    auto until = nlohmann::json{{"until", batch_->batch.messages.back().position}}.dump();
    flow::Checkpoint own{.cursor_from = "", .cursor_to = "", .position = until, .read_at = at};
    auto checkpoint = [&](size_t table) { return options_.replays ? given_[table] : own; };
    std::shared_ptr<const IndexedBatch> batch = batch_;
    begin_batch();
    for (size_t i = 0; i < events_.size(); ++i) {
        if (events_[i].empty()) continue;
        out.parts.push_back({.table = i,
                             .scan = std::make_unique<EventScan>(*tables_[i], batch, std::exchange(events_[i], {}),
                                                                 *contexts_[i], checkpoint(i)),
                             .last = false});
    }
    // What a replay at once closes is of no one table.
    if (!unrouted_.empty() || options_.at_once)
        out.parts.push_back({.table = tables_.size(),
                             .scan = std::make_unique<UnroutedScan>(batch, std::exchange(unrouted_, {}),
                                                                    *contexts_.back(), checkpoint(tables_.size())),
                             .last = false});
    if (options_.replays) return out;
    out.stream = flow::Checkpoint{.cursor_from = "", .cursor_to = "", .position = stream_->position(), .read_at = at};
    told_ = out.stream->position;
    if (archive_) {
        auto objects = archive_->publish(archived_at(*out.stream));
        if (!objects) {
            if (auto undone = archive_->abort(); !undone) log::warning("{}", undone.error().message);
            return fail(std::move(objects.error()));
        }
    }
    return out;
}

Result<std::optional<flow::Segment>> EventSource::next() {
    std::optional<Clock::time_point> since;
    while (true) {
        if (stop_.stop_requested()) return fail(interrupted());
        PN_TRY(bool claiming, claims());
        if (claiming) return flow::Segment{.parts = {}, .stream = flow::Checkpoint{.position = "[]", .read_at = now()}};
        size_t before = batch_->batch.messages.size();
        PN_CHECK(stream_->receive(batch_->batch, options_.memory_bytes / 4));
        PN_CHECK(divide(before));
        PN_FAILPOINT(changes_receive_after);
        bool drained = !options_.follow && stream_->drained();
        if (batch_->batch.messages.empty()) {
            // What ends a topic may be no message; others that drain it wait for the position behind it.
            bool tells = is_shared() && !options_.follow && messages_->part_drained();
            if (tells && std::exchange(told_, stream_->position()) != stream_->position()) return without_messages();
            if (!drained) continue;
            if (std::exchange(ended_, true) || !is_shared()) {
                if (archive_) PN_CHECK(archive_->finish());
                return std::nullopt;
            }
            look_for_gone_ = {};  // once more
            continue;
        }
        if (!since) since = Clock::now();
        if ((options_.at_once || !enough(*since)) && !drained) continue;
        PN_TRY(auto full, segment());
        return full;
    }
}

Status EventSource::confirm_stream(const flow::Checkpoint& durable) {
    if (!claims_.empty()) return claimed();
    if (own_) ++own_->segment;
    return stream_->confirm(durable.position);
}

}  // namespace penstock::events
