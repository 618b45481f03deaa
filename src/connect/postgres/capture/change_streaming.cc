// Changes as they come: the stream, and segments of whole transactions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/postgres/capture/change_source.h"
#include "connect/postgres/replication/pgoutput.h"

namespace penstock::postgres {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t segment_records = 500'000;
/// A stream without changes for us moves its checkpoint on this often, so that the server can let go of its log.
constexpr auto idle_advance = std::chrono::seconds(30);
constexpr uint64_t idle_bytes = uint64_t{8} << 20;
/// Of a segment when the server runs out of room for its log.
constexpr uint64_t hurried_records = 20'000;
constexpr auto hurried_advance = std::chrono::seconds(1);
constexpr auto slot_pause = std::chrono::milliseconds(20);
constexpr auto slot_patience = std::chrono::seconds(2);
constexpr auto between_questions = std::chrono::milliseconds(100);

Error changed_on_the_way(const std::string& table, std::string message) {
    return {.kind = ErrorKind::unavailable,
            .code = flow::look_again,
            .message = std::move(message),
            .where = "table " + table,
            .hint = "what came before is in the target; a retry sees the new shape"};
}

/// Of numbers with commas between them.
bool listed(const std::string& numbers, uint32_t number) {
    return fmt::format(",{},", numbers).find(fmt::format(",{},", number)) != std::string::npos;
}

/// A table whose rows were written anew, or are told apart or named otherwise than its changes say: reading it helps.
bool reading_helps(const Error& error) {
    static constexpr std::string_view codes[] = {"type_changed", "older_rows_unseen", "identity_changed",
                                                 "columns_renamed"};
    return std::ranges::find(codes, error.code) != std::end(codes);
}

}  // namespace

/// A reader of ours that has just ended may hold the slot for a moment.
Status ChangeSource::judge(int32_t own_pid) {
    SlotClaim claim{.pipeline = options_.pipeline,
                    .slot = changes().slot.value,
                    .plugin = std::string(to_string(changes().plugin)),
                    .database = system_.database,
                    .own_pid = own_pid,
                    .held = held_,
                    .system = held_system_,
                    .timeline = held_timeline_};
    for (auto until = Clock::now() + slot_patience;; std::this_thread::sleep_for(slot_pause)) {
        PN_TRY(auto slot, find_slot(*catalog_, claim.slot));
        auto status = judge_slot(claim, system_, slot);
        bool held = !status && status.error().code == "slot_active";
        if (!held || Clock::now() > until || stop_.stop_requested()) return status;
    }
}

Result<Lsn> log_position(Session& catalog) {
    PN_TRY(auto found, catalog.query("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                                     "pg_catalog.pg_last_wal_replay_lsn() ELSE "
                                     "pg_catalog.pg_current_wal_insert_lsn() END"));
    return Lsn::parse(found.text(0, 0)).value_or(Lsn());
}

/// Where the server's log ends. A commit that does not wait for the disk (synchronous_commit = off) can be seen before it is
/// written, which the WAL writer does within three of its delays; what others have put in behind it need not be waited for.
Result<Lsn> ChangeSource::end_of_log() {
    PN_TRY(auto first,
           catalog_->query("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                           "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() "
                           "END, (SELECT setting FROM pg_catalog.pg_settings WHERE name = "
                           "'wal_writer_delay')::bigint"));
    Lsn seen = Lsn::parse(first.text(0, 0)).value_or(Lsn());
    auto until = Clock::now() + std::chrono::milliseconds(3 * first.integer(0, 1) + 100);
    while (true) {
        PN_TRY(auto written, catalog_->query("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                                             "pg_catalog.pg_last_wal_replay_lsn() ELSE "
                                             "pg_catalog.pg_current_wal_lsn() END"));
        Lsn end = Lsn::parse(written.text(0, 0)).value_or(Lsn());
        if (end >= seen || Clock::now() > until || stop_.stop_requested()) return end;
        std::this_thread::sleep_for(slot_pause);
    }
}

Status ChangeSource::start_stream() {
    std::string directory = changes().spill_directory.value.string();
    if (directory.empty()) directory = std::filesystem::temp_directory_path().string();
    log_ = std::make_unique<ChangeLog>(
        ChangeLogOptions{.memory_bytes = options_.memory_bytes,
                         .spill = {.directory = directory, .limit_bytes = changes().spill_limit.count},
                         .divide_at = catching_up_.empty() ? Lsn() : snapshot_at_});
    StreamRequest request{.slot = changes().slot.value, .from = streamed_, .purpose = options_.purpose};
    PN_TRY(request.options, plugin_->options(plan_, catalog_->server_version()));
    request.on_remark = [this](const Error& remark) { return plugin_->heed(remark, plan_); };
    PN_FAILPOINT(changes_stream_before);
    PN_TRY(stream_, ReplicationStream::start(options_.connection, request, stop_));
    PN_TRY(drain_to_, end_of_log());
    if (!catching_up_.empty()) drain_to_ = std::max<uint64_t>(drain_to_, snapshot_at_);
    system_.flushed = std::max<uint64_t>(system_.flushed, drain_to_);
    // Nobody else can move the slot from here on; nobody may have moved it since the snapshot either.
    if (held_ == 0) {
        held_ = streamed_;
        held_system_ = system_.system;
        held_timeline_ = system_.timeline;
    }
    PN_CHECK(judge(stream_->server_pid()));
    std::vector<IntakeTable> tables;
    for (size_t i = 0; i < plan_.tables.size(); ++i)
        tables.push_back({.table = &plan_.tables[i],
                          .shapes = captured_[i].shapes,
                          .from = captured_[i].from,
                          .aside = captured_[i].state == State::aside,
                          .known = captured_[i].known});
    auto columns = [this](const ChangeTable& table, const RelationMessage& message) {
        return columns_now(table, message);
    };
    plugin_->met_other = [this] { met_other_ = true; };
    PN_TRY(auto intake, plugin_->intake(*catalog_, *log_, std::move(tables), columns));
    pump_ = std::make_unique<ChangePump>(*stream_, *log_, std::move(intake), options_.memory_bytes / 2);
    watch_slot();
    return {};
}

void ChangeSource::watch_slot() {
    watch_ = std::make_unique<SlotWatch>(SlotWatchOptions{.connection = options_.connection,
                                                          .purpose = options_.purpose,
                                                          .pipeline = options_.pipeline,
                                                          .slot = changes().slot.value,
                                                          .low_room = changes().low_room.count,
                                                          .beat = changes().heartbeat,
                                                          .beat_table = changes().heartbeat_table.value,
                                                          .most_kept = changes().most_kept.count});
}

/// On the pump's thread. Columns that the catalog no longer has are not missed; others came after the tables were looked at.
Result<CatalogNow> ChangeSource::columns_now(const ChangeTable& table, const RelationMessage& message) {
    const auto& read = table.read;
    PN_TRY(auto session, Session::connect(options_.connection, options_.purpose, stop_));
    std::vector<uint32_t> types;
    for (const auto& column : message.columns) types.push_back(column.type);
    PN_TRY(auto rows,
           session->query("SELECT attnum, attname, atttypid, attisdropped, "
                          "coalesce(pg_catalog.pg_relation_filenode(attrelid), 0), CASE WHEN attisdropped THEN (SELECT "
                          "pg_catalog.string_agg(t.oid::text, ',') FROM pg_catalog.pg_type t WHERE t.oid = ANY "
                          "($2::oid[]) AND (t.typlen, t.typbyval, t.typalign) = (attlen, attbyval, attalign)) END FROM "
                          "pg_catalog.pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND attgenerated = '' ORDER "
                          "BY attnum",
                          {std::to_string(read.oid), fmt::format("{{{}}}", fmt::join(types, ","))}));
    CatalogNow now;
    size_t as_planned = 0;
    for (int row = 0; row < rows.count(); ++row) {
        NumberedColumn column{.number = static_cast<int32_t>(rows.integer(row, 0)),
                              .name = rows.text(row, 1),
                              .type = static_cast<uint32_t>(rows.integer(row, 2)),
                              .dropped = rows.truth(row, 3)};
        for (uint32_t type : types)
            if (column.dropped && listed(rows.text(row, 5), type)) column.may_have_been.push_back(type);
        auto planned = [&](const ReadColumn& other) {
            return other.field.source_id == column.number && std::string_view(other.field.name) == column.name &&
                   other.type == column.type;
        };
        bool sent = std::ranges::find(message.columns, column.name, &RelationColumn::name) != message.columns.end();
        if (!column.dropped && std::ranges::any_of(read.columns, planned)) ++as_planned;
        else if (!column.dropped && sent)
            return fail(
                changed_on_the_way(read.info.name, fmt::format("column {} of {} is new", column.name, read.info.name)));
        now.columns.push_back(std::move(column));
        now.file = rows.text(row, 4);
    }
    if (as_planned < read.columns.size())
        return fail(changed_on_the_way(read.info.name, fmt::format("columns of {} were changed", read.info.name)));
    return now;
}

/// All that the snapshot has of the changes is in the target.
bool ChangeSource::caught_up(const ChangePump::State& state, const ChangeLogUsage& usage) const {
    return usage.queued_transactions == 0 ? state.reached >= snapshot_at_ : usage.oldest_commit_lsn >= snapshot_at_;
}

Result<std::optional<flow::Segment>> ChangeSource::stream_segment() {
    if (!stream_) PN_CHECK(start_stream());
    // The segment before is durable: others may go on writing for ever, this run ends where it was to end.
    if (catching_up_.empty()) snapshot_.reset();
    if (!options_.follow && streamed_ >= drain_to_ && catching_up_.empty()) {
        PN_CHECK(end_stream());
        return std::nullopt;
    }
    PN_CHECK(look_for_tables());
    stream_->ask();
    auto asked_at = Clock::now();
    pace_.taken(asked_at);
    std::optional<Clock::time_point> waiting_since;
    while (true) {
        if (stop_.stop_requested())
            return fail({.kind = ErrorKind::interrupted,
                         .code = "interrupted",
                         .message = "stopped while waiting for changes"});
        // What came during the last commit is not to wait for more to come.
        auto patience = log_->usage().queued_transactions == 0 ? Clock::duration(slot_pause)
                        : waiting_since
                            ? std::min<Clock::duration>(slot_pause, pace_.left(*waiting_since, Clock::now()))
                            : Clock::duration::zero();
        auto state = pump_->wait(patience);
        auto usage = log_->usage();  // after the state: all that committed before `reached` is queued by now
        if (!catching_up_.empty() && caught_up(state, usage)) {
            size_t table = catching_up_.back();
            catching_up_.pop_back();
            PN_TRY(auto segment, snapshot_segment(table));
            return segment;
        }
        bool drained = !options_.follow && state.reached >= drain_to_;
        if (usage.queued_transactions > 0) {
            if (!waiting_since) waiting_since = Clock::now();
            bool enough = usage.queued_records >= segment_records || usage.queued_bytes >= options_.memory_bytes / 3 ||
                          watch_->hurried();
            if (!enough && !drained && !state.error && !pace_.due(*waiting_since, Clock::now())) continue;
            PN_TRY(auto segment, take_segment());
            return segment;
        }
        if (state.error) return stream_failed(std::move(*state.error));
        auto idle = Clock::now() - advanced_at_;
        bool idle_long = idle > std::max<Clock::duration>(idle_advance, options_.commit_every) ||
                         (state.reached > streamed_ + idle_bytes && idle >= options_.commit_every) ||
                         (watch_->hurried() && idle > hurried_advance);
        if (state.reached > streamed_ && (drained || idle_long)) return advance(state.reached);
        if (drained) {
            PN_CHECK(end_stream());
            return std::nullopt;
        }
        if (Clock::now() - asked_at > between_questions) {
            stream_->ask();
            asked_at = Clock::now();
            PN_CHECK(look_for_tables());
        }
    }
}

Result<flow::Segment> ChangeSource::take_segment() {
    PN_CHECK(plugin_->check_received(*catalog_, plan_));
    PN_TRY(auto taken, log_->take({.records = watch_->hurried() ? hurried_records : segment_records,
                                   .bytes = options_.memory_bytes / 3}));
    pace_.given(Clock::now());
    streamed_ = std::max<uint64_t>(streamed_, taken.end_lsn);
    advanced_at_ = Clock::now();
    flow::Segment segment;
    for (auto& run : taken.runs) {
        size_t table = run->table();
        if (captured_[table].state == State::aside) continue;
        segment.parts.push_back({.table = table,
                                 .scan = std::make_unique<ChangeScan>(ChangePart{.table = plan_.tables[table],
                                                                                 .shapes = captured_[table].shapes,
                                                                                 .run = std::move(run),
                                                                                 .context = *captured_[table].context,
                                                                                 .checkpoint = checkpoint(table),
                                                                                 .from = captured_[table].from}),
                                 .last = false});
    }
    if (segment.parts.empty()) return advance(streamed_);
    if (kept_) segment.stream = stream_checkpoint();
    return segment;
}

flow::Segment ChangeSource::advance(Lsn reached) {
    streamed_ = reached;
    advanced_at_ = Clock::now();
    flow::Segment segment;
    if (kept_) {
        segment.stream = stream_checkpoint();
        return segment;
    }
    segment.parts.push_back(
        {.table = 0, .scan = std::make_unique<NoChanges>(plan_.tables[0].read.info, checkpoint(0)), .last = false});
    return segment;
}

/// What is wrong with one table is remembered, so that the next look at the tables knows of it. Its changes are not kept: it
/// comes back by being read again, at once where that is enough.
Result<std::optional<flow::Checkpoint>> ChangeSource::set_aside(size_t table, const Error& error) {
    if (!kept_) return std::optional<flow::Checkpoint>();
    Trouble why{error.code, error.message};
    if (reading_helps(error) && read_again(table, why)) {
        log::info("{}", error.message);
    } else if (changes().on_table_error == OnTableError::set_aside) {
        captured_[table].state = State::aside;
        captured_[table].why = std::move(why);
        log::error(
            "{} is set aside, the other tables go on: {}; when that is mended, `penstock run {} --resnapshot {}`",
            name_of(table), error.message, options_.pipeline, name_of(table));
    } else {
        return std::optional<flow::Checkpoint>();
    }
    streamed_ = durable_;
    return stream_checkpoint();
}

/// All before is durable.
Result<std::optional<flow::Segment>> ChangeSource::stream_failed(Error error) {
    bool altered = error.code == "table_changed" || error.code == flow::look_again;
    auto table = table_of(error);
    if (altered) {
        log::info("{}; looking at the tables again", error.message);
    } else {
        bool fault_of_table = table && (error.kind == ErrorKind::data || error.kind == ErrorKind::schema);
        Result<std::optional<flow::Checkpoint>> stream = std::optional<flow::Checkpoint>();
        if (fault_of_table) stream = set_aside(*table, error);
        if (table && kept_)
            error.hint = fmt::format("`penstock run {} --resnapshot {}` reads it anew and goes on from there",
                                     options_.pipeline, name_of(*table));
        if (!stream || !*stream) return fail(std::move(error));
    }
    failure_ = {.kind = ErrorKind::unavailable,
                .code = flow::look_again,
                .message = error.message,
                .where = error.where,
                .hint = error.hint};
    return last_words();
}

std::optional<size_t> ChangeSource::table_of(const Error& error) const {
    for (size_t i = 0; i < plan_.tables.size(); ++i)
        if (error.where == "table " + name_of(i)) return i;
    return std::nullopt;
}

Status ChangeSource::end_stream() {
    watch_.reset();
    pump_.reset();
    auto stream = std::move(stream_);
    return stream->close();
}

}  // namespace penstock::postgres
