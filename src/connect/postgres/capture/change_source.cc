#include "connect/postgres/capture/change_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/postgres/ranges.h"
#include "connect/postgres/replication/pgoutput.h"
#include "connect/postgres/table_scan.h"

namespace penstock::postgres {
namespace {

using Clock = std::chrono::steady_clock;

/// A commit of the target costs about as much as applying ten thousand changes: a segment is worth one when it has many, or
/// when its oldest has waited this long.
constexpr uint64_t segment_records = 500'000;
constexpr auto most_latency = std::chrono::milliseconds(500);
/// A stream without changes for us moves its checkpoint on this often, so that the server can let go of its log.
constexpr auto idle_advance = std::chrono::seconds(30);
constexpr uint64_t idle_bytes = uint64_t{16} << 20;
constexpr auto glance = std::chrono::milliseconds(20);
constexpr auto between_questions = std::chrono::milliseconds(100);

Error table_changed(const std::string& table, std::string message) {
    return {.kind = ErrorKind::unavailable,
            .code = "table_changed",
            .message = std::move(message),
            .where = "table " + table,
            .hint = "what came before is in the target; a retry sees the new shape"};
}

}  // namespace

std::string ChangePosition::to_json() const {
    return nlohmann::json{{"lsn", streamed.text()}, {"from", from.text()}, {"system", system}, {"timeline", timeline},
                          {"born", born.text()},    {"oid", oid},          {"tables", tables}}
        .dump();
}

Result<ChangePosition> ChangePosition::from_json(const std::string& text) {
    auto json = nlohmann::json::parse(text, nullptr, false);
    try {
        auto lsn = [&](const char* name) { return Lsn::parse(json.at(name).get<std::string>()); };
        auto streamed = lsn("lsn"), from = lsn("from"), born = lsn("born");
        if (streamed && from && born)
            return ChangePosition{.streamed = *streamed,
                                  .from = *from,
                                  .system = json.at("system"),
                                  .timeline = json.at("timeline"),
                                  .born = *born,
                                  .oid = json.at("oid"),
                                  .tables = json.at("tables")};
    } catch (const nlohmann::json::exception&) {  // said below
    }
    return fail({.kind = ErrorKind::configuration,
                 .code = "other_checkpoint",
                 .message = "the target's checkpoint is not one of a change stream: another kind of pipeline has "
                            "loaded this table under the same name",
                 .hint = "give the pipeline another name or target, or run once with --full-refresh"});
}

ChangeSource::~ChangeSource() {
    // What was confirmed still reaches the server; the rest it sends again.
    if (stream_) static_cast<void>(end_stream());
}

Result<std::vector<flow::TableInfo>> ChangeSource::discover(std::stop_token stop) {
    stop_ = stop;
    PN_FAILPOINT(source_connect_before);
    PN_TRY(catalog_, Session::connect(options_.connection, options_.purpose, stop));
    PN_TRY(plan_, plan_changes(*catalog_, options_.source, options_.policies, options_.holds));
    plugin_ = make_output_plugin(changes());
    PN_CHECK(plugin_->check(plan_));
    std::vector<flow::TableInfo> tables;
    for (auto& table : plan_.tables) tables.push_back(table.read.info);
    captured_.resize(tables.size());
    return tables;
}

Status ChangeSource::read_checkpoints(const std::vector<flow::TableRead>& tables) {
    std::vector<std::pair<size_t, ChangePosition>> positions;
    for (const auto& read : tables) {
        auto& captured = captured_[read.table];
        captured.context.emplace(read.context);
        if (!read.from) {
            pending_.insert(pending_.begin(), read.table);
            continue;
        }
        auto position = ChangePosition::from_json(read.from->position);
        if (!position) return fail(std::move(position.error()).at("table " + plan_.tables[read.table].read.info.name));
        captured.from = position->from;
        positions.emplace_back(read.table, std::move(*position));
    }
    if (positions.empty()) return {};
    auto of = [](const auto& entry) { return uint64_t{entry.second.streamed}; };
    const auto& newest = std::ranges::max_element(positions, {}, of)->second;
    for (const auto& [table, position] : positions) PN_CHECK(check_belongs(table, position, newest));
    streamed_ = held_ = newest.streamed;
    held_system_ = newest.system;
    held_timeline_ = newest.timeline;
    born_ = newest.born;
    return {};
}

/// The stream goes on where its newest checkpoint is. That is right for a table with an older one only if the stream
/// captured the table all the while.
Status ChangeSource::check_belongs(size_t table, const ChangePosition& position, const ChangePosition& newest) const {
    const auto& read = plan_.tables[table].read;
    std::string why;
    if (position.oid != read.oid) why = "is another table than the one that was captured: it was dropped and made anew";
    else if (position.system != newest.system || position.born != newest.born)
        why = "was captured by another slot than the other tables";
    else if (position.streamed < newest.streamed && std::ranges::find(newest.tables, read.oid) == newest.tables.end())
        why = fmt::format("was left out of the stream after {}", position.streamed.text());
    if (why.empty()) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "table_left_behind",
                 .message = fmt::format("table {} {}, and what changed meanwhile is not known", read.info.name, why),
                 .where = "table " + read.info.name,
                 .hint = "run once with --full-refresh, which reads the tables anew and goes on from there"});
}

Status ChangeSource::check_publication() {
    if (changes().plugin != ChangePlugin::pgoutput) return {};
    const auto& name = changes().publication.value;
    PN_TRY(auto found, find_publication(*catalog_, name));
    std::vector<PublishedTable> missing;
    for (size_t i = 0; i < plan_.tables.size(); ++i) {
        const auto& read = plan_.tables[i].read;
        TableName wanted{read.schema, read.relation};
        auto is_it = [&](const PublishedTable& published) { return published.table == wanted; };
        auto published = found ? std::ranges::find_if(found->tables, is_it) : std::vector<PublishedTable>::iterator();
        if (found && published != found->tables.end()) {
            PN_CHECK(check_published(*found, *published, read));
            continue;
        }
        if (std::ranges::find(pending_, i) == pending_.end())
            return fail({.kind = ErrorKind::refused,
                         .code = "not_published",
                         .message = fmt::format("publication {} no longer publishes {}, and what changed since it was "
                                                "taken out is not known",
                                                name, wanted.quoted()),
                         .where = changes().publication.place.text(),
                         .hint = "put it back and run once with --full-refresh"});
        missing.push_back({.table = wanted});
    }
    if (missing.empty()) return {};
    if (changes().create) {
        if (!found) return create_publication(*catalog_, {.name = name, .tables = missing});
        return add_to_publication(*catalog_, name, missing);
    }
    std::vector<std::string> names;
    for (const auto& table : missing) names.push_back(table.table.quoted());
    return fail({.kind = ErrorKind::refused,
                 .code = found ? "not_published" : "no_publication",
                 .message = found ? fmt::format("publication {} does not publish {}", name, fmt::join(names, ", "))
                                  : fmt::format("there is no publication {}", name),
                 .where = changes().publication.place.text(),
                 .hint = fmt::format("{} {} {}TABLE {}; or set create: true, with a role that owns the tables",
                                     found ? "ALTER PUBLICATION" : "CREATE PUBLICATION", quote_identifier(name),
                                     found ? "ADD " : "FOR ", fmt::join(names, ", "))});
}

/// A mirror needs all of it.
Status ChangeSource::check_published(const Publication& publication, const PublishedTable& published,
                                     const TableRead& read) const {
    std::string why;
    if (!publication.inserts || !publication.updates || !publication.deletes || !publication.truncates)
        why = "leaves out some of insert, update, delete and truncate";
    else if (!published.row_filter.empty()) why = fmt::format("has a row filter on {}", read.info.name);
    for (const auto& column : read.columns) {
        bool left_out = !published.columns.empty() &&
                        std::ranges::find(published.columns, column.field.name) == published.columns.end();
        if (left_out) why = fmt::format("leaves out column {} of {}", column.field.name, read.info.name);
    }
    if (why.empty()) return {};
    return fail(
        {.kind = ErrorKind::refused,
         .code = "published_in_part",
         .message = fmt::format("publication {} {}: the target would not be the table's mirror", publication.name, why),
         .where = changes().publication.place.text(),
         .hint = "publish the whole table with all operations, in a publication of the pipeline's own"});
}

Status ChangeSource::judge(int32_t own_pid) {
    PN_TRY(auto slot, find_slot(*catalog_, changes().slot.value));
    return judge_slot({.pipeline = options_.pipeline,
                       .slot = changes().slot.value,
                       .plugin = std::string(to_string(changes().plugin)),
                       .database = system_.database,
                       .own_pid = own_pid,
                       .held = held_,
                       .system = held_system_,
                       .timeline = held_timeline_},
                      system_, slot);
}

Status ChangeSource::open(std::vector<flow::TableRead> tables) {
    PN_CHECK(read_checkpoints(tables));
    PN_TRY(auto replication,
           Session::connect(options_.connection, options_.purpose, stop_, Session::Channel::replication));
    PN_TRY(system_, identify_system(*replication));
    PN_CHECK(check_publication());
    PN_TRY(auto slot, find_slot(*catalog_, changes().slot.value));
    if (!slot && held_ == 0 && changes().create) {
        PN_FAILPOINT(slot_create_before);
        PN_CHECK(take_snapshot({.name = changes().slot.value, .plugin = std::string(to_string(changes().plugin))},
                               *replication));
        PN_FAILPOINT(slot_create_after);
        streamed_ = born_ = snapshot_at_;
        for (auto& captured : captured_) captured.from = snapshot_at_;
    } else {
        PN_CHECK(judge(0));
        PN_CHECK(plugin_->check_server(*catalog_, plan_));
        if (held_ == 0) streamed_ = slot->confirmed_flush_lsn.value_or(Lsn());
        if (!pending_.empty() && changes().snapshot == SnapshotChoice::initial) {
            // Its name is this process's own; it goes with the session.
            PN_CHECK(take_snapshot(
                {.name = fmt::format("penstock_snapshot_{}", PQbackendPID(replication->raw())), .temporary = true},
                *replication));
            for (size_t table : pending_) captured_[table].from = snapshot_at_;
            // All tables are read anew: what the slot holds of before is not wanted, and may have other shapes.
            if (held_ == 0) streamed_ = snapshot_at_;
        }
        if (held_ == 0) born_ = streamed_;
    }
    if (changes().snapshot == SnapshotChoice::never) {
        for (size_t table : pending_) captured_[table].from = streamed_;
        pending_.clear();
        snapshot_.reset();
    }
    return {};
}

Status ChangeSource::take_snapshot(const SlotRequest& request, Session& replication) {
    PN_TRY(auto clock, catalog_->query("SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"));
    snapshot_micros_ = clock.integer(0, 0);
    PN_TRY(auto slot, create_slot(replication, request, stop_));
    snapshot_at_ = slot.consistent_point;
    std::vector<std::string> tables;
    for (size_t table : pending_)
        tables.push_back(fmt::format("{}.{}", quote_identifier(plan_.tables[table].read.schema),
                                     quote_identifier(plan_.tables[table].read.relation)));
    auto adopted = Snapshot::adopt(options_.connection, options_.purpose, slot.snapshot, tables, stop_);
    Status status = adopted ? same_shape() : fail(std::move(adopted.error()));
    if (status && !request.temporary) status = plugin_->check_server(*catalog_, plan_);
    if (status) {
        snapshot_ = std::move(*adopted);
        return {};
    }
    // Nothing was read: a slot that was made for this goes again, so that the next try makes it with its own snapshot.
    if (!request.temporary)
        if (auto dropped = drop_slot(replication, request.name); !dropped)
            log::warning("slot {} was made and could not be dropped again: {}", request.name, dropped.error().message);
    return status;
}

/// The tables are locked now: they must still have the shape that the readers were chosen for.
Status ChangeSource::same_shape() {
    PN_TRY(auto plan, plan_changes(*catalog_, options_.source, options_.policies, options_.holds));
    for (size_t table : pending_) {
        const auto& read = plan_.tables[table].read;
        auto same = [&](const ChangeTable& other) {
            return other.read.oid == read.oid && other.read.info.schema.fields == read.info.schema.fields;
        };
        if (std::ranges::none_of(plan.tables, same))
            return fail(
                table_changed(read.info.name, fmt::format("table {} was altered while the run began", read.info.name)));
    }
    return {};
}

flow::Checkpoint ChangeSource::checkpoint(size_t table) const {
    ChangePosition position{.streamed = streamed_,
                            .from = captured_[table].from,
                            .system = system_.system,
                            .timeline = system_.timeline,
                            .born = born_,
                            .oid = plan_.tables[table].read.oid};
    for (const auto& captured : plan_.tables) position.tables.push_back(captured.read.oid);
    return {.cursor_from = "", .cursor_to = "", .position = position.to_json(), .read_at = now()};
}

Result<std::optional<flow::Segment>> ChangeSource::next() {
    if (pending_.empty()) return stream_segment();
    size_t table = pending_.back();
    pending_.pop_back();
    PN_TRY(auto segment, snapshot_segment(table));
    return segment;
}

Result<flow::Segment> ChangeSource::snapshot_segment(size_t table) {
    const auto& read = plan_.tables[table].read;
    PN_TRY(auto ranges, divide({.read = read, .condition = "", .parallel = options_.parallel}, snapshot_->holder()));
    auto rows = std::make_unique<TableScan>(
        ScanPlan{.read = read,
                 .snapshot = *snapshot_,
                 .context = *captured_[table].context,
                 .ranges = std::move(ranges),
                 .parallel = options_.parallel,
                 .key = read.info.key,
                 .checkpoint = [](int64_t) -> Result<flow::Checkpoint> { return flow::Checkpoint{}; }});
    flow::Segment segment;
    segment.parts.push_back({.table = table,
                             .scan = std::make_unique<SnapshotScan>(read.info, std::move(rows), snapshot_at_,
                                                                    snapshot_micros_, checkpoint(table)),
                             .last = false});
    return segment;
}

Status ChangeSource::start_stream() {
    snapshot_.reset();
    std::string directory = changes().spill_directory.value.string();
    if (directory.empty()) directory = std::filesystem::temp_directory_path().string();
    log_ = std::make_unique<ChangeLog>(
        ChangeLogOptions{.memory_bytes = options_.memory_bytes,
                         .spill = {.directory = directory, .limit_bytes = changes().spill_limit.count}});
    StreamRequest request{.slot = changes().slot.value, .from = streamed_, .purpose = options_.purpose};
    PN_TRY(request.options, plugin_->options(plan_, catalog_->server_version()));
    PN_FAILPOINT(changes_stream_before);
    PN_TRY(stream_, ReplicationStream::start(options_.connection, request, stop_));
    PN_TRY(auto end, catalog_->query("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                                     "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END"));
    drain_to_ = Lsn::parse(end.text(0, 0)).value_or(Lsn());
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
        tables.push_back({.table = &plan_.tables[i], .shapes = captured_[i].shapes});
    auto left_out = [this](const ChangeTable& table, const RelationMessage& message) {
        return check_left_out(table, message);
    };
    PN_TRY(auto intake, plugin_->intake(*catalog_, *log_, std::move(tables), left_out));
    pump_ = std::make_unique<ChangePump>(*stream_, *log_, std::move(intake), options_.memory_bytes / 2);
    return {};
}

/// On the pump's thread. Columns that the catalog no longer has are not missed; others came after the tables were looked at.
Status ChangeSource::check_left_out(const ChangeTable& table, const RelationMessage& message) {
    PN_TRY(auto session, Session::connect(options_.connection, options_.purpose, stop_));
    PN_TRY(auto rows, session->query("SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = $1::oid AND attnum "
                                     "> 0 AND NOT attisdropped AND attgenerated = ''",
                                     {std::to_string(table.read.oid)}));
    for (int row = 0; row < rows.count(); ++row) {
        std::string name = rows.text(row, 0);
        bool sent = std::ranges::any_of(message.columns, [&](const auto& column) { return column.name == name; });
        if (sent && table.read.info.schema.find(name) < 0)
            return fail(
                table_changed(table.read.info.name, fmt::format("column {} of {} is new", name, table.read.info.name)));
    }
    return {};
}

Result<std::optional<flow::Segment>> ChangeSource::stream_segment() {
    if (!stream_) PN_CHECK(start_stream());
    // The segment before is durable: others may go on writing for ever, this run ends where it was to end.
    if (!options_.follow && streamed_ >= drain_to_) {
        PN_CHECK(end_stream());
        return std::nullopt;
    }
    stream_->ask();
    auto asked_at = Clock::now();
    std::optional<Clock::time_point> waiting_since;
    while (true) {
        if (stop_.stop_requested())
            return fail({.kind = ErrorKind::interrupted,
                         .code = "interrupted",
                         .message = "stopped while waiting for changes"});
        auto state = pump_->wait(glance);
        auto usage = log_->usage();  // after the state: all that committed before `reached` is queued by now
        bool drained = !options_.follow && state.reached >= drain_to_;
        if (usage.queued_transactions > 0) {
            if (!waiting_since) waiting_since = Clock::now();
            bool enough = usage.queued_records >= segment_records || usage.queued_bytes >= options_.memory_bytes / 4;
            if (!enough && !drained && !state.error && Clock::now() - *waiting_since < most_latency) continue;
            PN_TRY(auto segment, take_segment());
            return segment;
        }
        if (state.error) return fail(std::move(*state.error));
        bool idle_long = Clock::now() - advanced_at_ > idle_advance || state.reached > streamed_ + idle_bytes;
        if (state.reached > streamed_ && (drained || idle_long)) return advance(state.reached);
        if (drained) {
            PN_CHECK(end_stream());
            return std::nullopt;
        }
        if (Clock::now() - asked_at > between_questions) {
            stream_->ask();
            asked_at = Clock::now();
        }
    }
}

Result<flow::Segment> ChangeSource::take_segment() {
    PN_CHECK(plugin_->check_received(*catalog_, plan_));
    PN_TRY(auto taken, log_->take({.records = segment_records, .bytes = options_.memory_bytes / 4}));
    streamed_ = std::max<uint64_t>(streamed_, taken.end_lsn);
    advanced_at_ = Clock::now();
    flow::Segment segment;
    for (auto& run : taken.runs) {
        size_t table = run->table();
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
    return segment;
}

flow::Segment ChangeSource::advance(Lsn reached) {
    streamed_ = reached;
    advanced_at_ = Clock::now();
    flow::Segment segment;
    segment.parts.push_back(
        {.table = 0, .scan = std::make_unique<NoChanges>(plan_.tables[0].read.info, checkpoint(0)), .last = false});
    return segment;
}

Status ChangeSource::confirm(size_t, const flow::Checkpoint& durable) {
    if (!stream_) return {};
    PN_TRY(auto position, ChangePosition::from_json(durable.position));
    stream_->confirm(position.streamed);
    return {};
}

Status ChangeSource::end_stream() {
    pump_.reset();
    auto stream = std::move(stream_);
    return stream->close();
}

}  // namespace penstock::postgres
