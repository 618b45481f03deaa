// What is known of each table when a run begins: from its checkpoint and the stream's, and what follows from it.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "connect/postgres/capture/change_source.h"

namespace penstock::postgres {
namespace {

Error cannot_follow(const std::string& table, const Trouble& why, const std::string& way_out) {
    return {.kind = ErrorKind::refused,
            .code = why.code,
            .message = why.message,
            .where = "table " + table,
            .hint = way_out};
}

}  // namespace

Status ChangeSource::read_checkpoints(const std::vector<flow::TableRead>& tables) {
    std::map<size_t, ChangePosition> positions;
    for (const auto& read : tables) {
        PN_TRY(auto position, read_checkpoint(read));
        if (position) positions.emplace(read.table, std::move(*position));
    }
    StreamPosition stream = last_ ? *last_ : newest_of(positions);
    for (const auto& read : tables) {
        auto position = positions.find(read.table);
        if (position == positions.end()) continue;
        captured_[read.table].from = position->second.from;
        captured_[read.table].known = position->second.known;
        know(read.table, shapes_at_);
        if (auto trouble = trouble_of(read, position->second, stream))
            PN_CHECK(read_again(read.table, std::move(*trouble)));
    }
    for (size_t table = captured_.size(); table-- > 0;)
        if (captured_[table].state == State::first || captured_[table].state == State::again) pending_.push_back(table);
    // Where all is read from the beginning, by hand or for the first time, it does not matter where the stream has been.
    auto goes_on = [](const Captured& captured) { return captured.state != State::first && !captured.by_hand; };
    if (std::ranges::any_of(captured_, goes_on)) hold(stream);
    return {};
}

/// Absent for tables that do not go on from theirs, whatever else is known of them.
Result<std::optional<ChangePosition>> ChangeSource::read_checkpoint(const flow::TableRead& read) {
    auto& captured = captured_[read.table];
    captured.context.emplace(read.context);
    captured.by_hand = read.anew;
    if (last_ && !read.anew) {
        if (auto aside = last_->aside.find(name_of(read.table)); aside != last_->aside.end()) {
            captured.state = State::aside;
            captured.why = aside->second;
            log::warning("{} is still set aside ({}); `penstock run {} --resnapshot {}` takes it back",
                         name_of(read.table), captured.why.message, options_.pipeline, name_of(read.table));
            return std::optional<ChangePosition>();
        }
    }
    if (!read.from || read.anew) {
        captured.state = read.from ? State::again : State::first;
        captured.why = {"by_hand", "somebody asked for it"};
        return std::optional<ChangePosition>();
    }
    auto position = ChangePosition::from_json(read.from->position);
    if (!position) return fail(std::move(position.error()).at("table " + name_of(read.table)));
    return std::optional(std::move(*position));
}

/// Of targets that keep no checkpoint of the stream itself, and of those that were written by a version that kept none.
StreamPosition ChangeSource::newest_of(const std::map<size_t, ChangePosition>& positions) const {
    StreamPosition stream;
    if (positions.empty()) return stream;
    auto of = [](const auto& entry) { return uint64_t{entry.second.streamed}; };
    const auto& newest = std::ranges::max_element(positions, {}, of)->second;
    stream = {.streamed = newest.streamed, .system = newest.system, .timeline = newest.timeline, .born = newest.born};
    for (uint32_t oid : newest.tables) stream.tables.emplace(std::to_string(oid), oid);
    return stream;
}

/// As the tables are planned.
void ChangeSource::know(size_t table, Lsn at) {
    auto& known = captured_[table].known;
    const auto& shape = shapes_[table];
    auto piece = shape.pieces.find(plan_.tables[table].read.oid);
    bool has_file = piece != shape.pieces.end() && piece->second.file != "0";
    KnownColumns now{.at = at, .columns = shape.columns, .file = has_file ? piece->second.file : ""};
    if (known.empty() || known.back().columns != now.columns || known.back().file != now.file)
        known.push_back(std::move(now));
}

/// The stream goes on where its checkpoint is. That is right for a table with an older one only if the stream captured the
/// table all the while.
std::optional<Trouble> ChangeSource::trouble_of(const flow::TableRead& read, const ChangePosition& position,
                                                const StreamPosition& stream) const {
    const auto& name = name_of(read.table);
    uint32_t oid = plan_.tables[read.table].read.oid;
    if (auto unread = stream.unread.find(name); unread != stream.unread.end()) return unread->second;
    auto behind = [&](std::string why) {
        return Trouble{"table_left_behind",
                       fmt::format("table {} {}, and what changed meanwhile is not known", name, why)};
    };
    if (position.oid != oid)
        return behind("is another table than the one that was captured: it was dropped and made anew");
    if (position.system != stream.system || position.born != stream.born)
        return behind("was captured by another slot than the other tables");
    bool captured = std::ranges::any_of(stream.tables, [&](const auto& table) { return table.second == oid; });
    if (position.streamed < stream.streamed && !captured)
        return behind(fmt::format("was left out of the stream after {}", position.streamed.text()));
    if (position.shape)
        if (auto trouble = unstreamed(name, *position.shape, shapes_[read.table],
                                      position.known.empty() ? ColumnsBy::name : columns_by()))
            return trouble;
    if (read.whole)
        return Trouble{"older_rows_unseen",
                       fmt::format("table {} has a new column, and what older rows hold in it was not streamed", name)};
    return std::nullopt;
}

/// The table is read instead of what the target has of it, unless the configuration says to stop.
Status ChangeSource::read_again(size_t table, Trouble why) {
    if (!kept_)
        return fail(cannot_follow(name_of(table), why,
                                  "run once with --full-refresh, which reads the tables anew and goes on from there"));
    if (changes().on_rewrite == OnRewrite::stop || changes().snapshot == SnapshotChoice::never)
        return fail(cannot_follow(name_of(table), why,
                                  fmt::format("`penstock run {} --resnapshot {}` reads it anew and goes on from there",
                                              options_.pipeline, name_of(table))));
    captured_[table].state = State::again;
    captured_[table].why = std::move(why);
    return {};
}

void ChangeSource::hold(const StreamPosition& stream) {
    streamed_ = held_ = stream.streamed;
    held_system_ = stream.system;
    held_timeline_ = stream.timeline;
    born_ = stream.born;
}

flow::Checkpoint ChangeSource::checkpoint(size_t table) const {
    ChangePosition position{.streamed = streamed_,
                            .from = captured_[table].from,
                            .system = system_.system,
                            .timeline = system_.timeline,
                            .born = born_,
                            .oid = plan_.tables[table].read.oid,
                            .shape = shapes_[table],
                            .known = captured_[table].known};
    // All but the newest that is as old as the changes to come.
    auto newer = [&](const KnownColumns& one) { return one.at > std::max<uint64_t>(streamed_, position.from); };
    auto end = std::ranges::find_if(position.known, newer);
    if (end - position.known.begin() > 1) position.known.erase(position.known.begin(), end - 1);
    for (size_t i = 0; i < captured_.size(); ++i)
        if (captured_[i].state != State::aside) position.tables.push_back(plan_.tables[i].read.oid);
    return {.cursor_from = "", .cursor_to = "", .position = position.to_json(), .read_at = now()};
}

flow::Checkpoint ChangeSource::stream_checkpoint() const {
    StreamPosition position{
        .streamed = streamed_, .system = system_.system, .timeline = system_.timeline, .born = born_};
    for (size_t i = 0; i < captured_.size(); ++i) {
        const auto& captured = captured_[i];
        if (captured.state == State::aside) {
            position.aside[name_of(i)] = captured.why;
            continue;
        }
        position.tables[name_of(i)] = plan_.tables[i].read.oid;
        if (captured.state == State::again) position.unread[name_of(i)] = captured.why;
    }
    position.unfit = unfit_;
    return {.cursor_from = "", .cursor_to = "", .position = position.to_json(), .read_at = now()};
}

}  // namespace penstock::postgres
