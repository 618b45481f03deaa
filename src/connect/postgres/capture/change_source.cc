#include "connect/postgres/capture/change_source.h"

#include <algorithm>

#include "base/failpoint.h"
#include "base/log.h"

namespace penstock::postgres {

ChangeSource::~ChangeSource() {
    // What was confirmed still reaches the server; the rest it sends again.
    if (stream_) static_cast<void>(end_stream());
}

namespace {

/// Somebody has altered a table, or dropped it, while it was looked at: no column is named by users here.
Error look_again_if_gone(Error error, bool tables_are_known) {
    bool gone = error.code == "no_such_column" || (tables_are_known && error.code == "no_such_table");
    if (!gone) return error;
    error.kind = ErrorKind::unavailable;
    error.code = flow::look_again;
    return error;
}

}  // namespace

Result<std::vector<flow::TableInfo>> ChangeSource::discover(std::stop_token stop) {
    stop_ = stop;
    auto tables = look_at_tables();
    if (!tables) return fail(look_again_if_gone(std::move(tables.error()), false));
    return tables;
}

Result<std::vector<flow::TableInfo>> ChangeSource::look_at_tables() {
    PN_FAILPOINT(source_connect_before);
    PN_TRY(catalog_, Session::connect(options_.connection, options_.purpose, stop_));
    PN_TRY(plan_, plan_what_can_be());
    PN_TRY(shapes_, table_shapes(*catalog_, plan_.tables));
    PN_TRY(shapes_at_, log_position(*catalog_));
    PN_CHECK(note_publication());
    plugin_ = make_output_plugin(changes());
    PN_CHECK(plugin_->check(plan_));
    std::vector<flow::TableInfo> tables;
    for (auto& table : plan_.tables) tables.push_back(table.read.info);
    captured_.resize(tables.size());
    return tables;
}

Status ChangeSource::resume(std::optional<flow::Checkpoint> stream) {
    kept_ = true;
    if (!stream) return {};
    PN_TRY(last_, StreamPosition::from_json(stream->position));
    return {};
}

Status ChangeSource::open(std::vector<flow::TableRead> tables) {
    auto opened = open_tables(tables);
    if (!opened) return fail(look_again_if_gone(std::move(opened.error()), true));
    return opened;
}

Status ChangeSource::open_tables(const std::vector<flow::TableRead>& tables) {
    PN_CHECK(read_checkpoints(tables));
    PN_CHECK(say_what_is_gone());
    PN_TRY(auto replication,
           Session::connect(options_.connection, options_.purpose, stop_, Session::Channel::replication));
    PN_TRY(system_, identify_system(*replication));
    PN_CHECK(check_publication());
    PN_CHECK(failure_ ? judge(0) : open_slot(*replication));
    durable_ = streamed_;
    return {};
}

Result<std::optional<flow::Segment>> ChangeSource::next() {
    if (failure_) return last_words();
    if (pending_.empty()) return stream_segment();
    size_t table = pending_.back();
    pending_.pop_back();
    PN_TRY(auto segment, snapshot_segment(table));
    return segment;
}

/// What is known of the tables is kept before the run ends with a failure.
Result<std::optional<flow::Segment>> ChangeSource::last_words() {
    if (!kept_ || std::exchange(told_, true)) return fail(*failure_);
    flow::Segment segment;
    segment.stream = stream_checkpoint();
    return segment;
}

Status ChangeSource::confirm(size_t, const flow::Checkpoint& durable) {
    if (!stream_ || kept_) return {};
    PN_TRY(auto position, ChangePosition::from_json(durable.position));
    stream_->confirm(position.streamed);
    return {};
}

Status ChangeSource::confirm_stream(const flow::Checkpoint& durable) {
    PN_TRY(auto position, StreamPosition::from_json(durable.position));
    durable_ = position.streamed;
    if (stream_) stream_->confirm(durable_);
    return {};
}

}  // namespace penstock::postgres
