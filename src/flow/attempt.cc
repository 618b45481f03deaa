#include "flow/attempt.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/failpoint.h"
#include "flow/guarded.h"

namespace penstock::flow {

Error in_table(Error error, const std::string& table) {
    if (error.where.empty()) {
        error.where = "table " + table;
    } else if (error.where.find(table) == error.where.npos) {
        error.where += ", table " + table;
    }
    return error;
}

Error interrupted() {
    return {.kind = ErrorKind::interrupted,
            .code = "interrupted",
            .message = "the run was stopped before its end",
            .hint = "what was committed stays, what was not is taken back; run again to go on from there"};
}

namespace {

Status name_table(Status status, const std::string& table) {
    if (status) return status;
    return fail(in_table(std::move(status.error()), table));
}

Error missing_plan(size_t plans, size_t targets) {
    return {.kind = ErrorKind::internal,
            .code = "plan_size",
            .message = fmt::format("the target planned {} of {} tables", plans, targets)};
}

Status check_targets_differ(const std::vector<TableTarget>& targets) {
    std::map<std::string, std::string> sources;
    for (const auto& target : targets) {
        auto [other, fresh] = sources.emplace(target.name, target.info.name);
        if (fresh) continue;
        return fail({.kind = ErrorKind::configuration,
                     .code = "same_target",
                     .message = fmt::format("tables {} and {} would both be written to {}", other->second,
                                            target.info.name, target.name),
                     .hint = "leave one out with `exclude`, or put {table} into the target's name"});
    }
    return {};
}

Error unbalanced(const Counts& counts) {
    return {.kind = ErrorKind::internal,
            .code = "rows_unaccounted",
            .message = fmt::format(
                "{} rows were read, but {} written, {} rejected and {} filtered make {}; nothing was committed",
                counts.rows_read, counts.rows_written, counts.rows_rejected, counts.rows_filtered,
                counts.rows_written + counts.rows_rejected + counts.rows_filtered),
            .hint = "this is a fault of penstock: please report it with the run's log"};
}

}  // namespace

Status Attempt::connect_and_plan() {
    PN_TRY(source_, request_.make_source());
    PN_TRY(auto infos, source_->discover(stop_));
    PN_CHECK(make_targets(infos));
    PN_TRY(sink_, request_.make_sink());
    PN_TRY(plans_, sink_->plan(targets_, stop_));
    if (plans_.size() != targets_.size()) return fail(missing_plan(plans_.size(), targets_.size()));
    PN_FAILPOINT(target_open_after);
    for (size_t i = 0; i < targets_.size(); ++i) {
        auto& result = state(i).result;
        result.decisions = plans_[i].decisions;
        if (plans_[i].checkpoint) result.checkpoint = *plans_[i].checkpoint;
    }
    return {};
}

Status Attempt::make_targets(const std::vector<TableInfo>& infos) {
    for (size_t i = 0; i < infos.size(); ++i) {
        auto target = request_.target_for(i, infos[i]);
        if (!target) return fail(in_table(std::move(target.error()), infos[i].name));
        target->table = i;
        // What is rebuilt is rebuilt once in a run, not again by a retry.
        const auto* known = states_.find(infos[i].name);
        if (known != nullptr && known->durable) target->full_refresh = false;
        targets_.push_back(std::move(*target));
    }
    return check_targets_differ(targets_);
}

void Attempt::recognise_unanswered() {
    for (const auto& commit : unanswered_) {
        for (size_t i = 0; i < targets_.size(); ++i) {
            bool arrived = targets_[i].info.name == commit.source && plans_[i].checkpoint == commit.checkpoint &&
                           commit.before != commit.checkpoint;
            if (!arrived) continue;
            state(i).settle(commit.counts, commit.checkpoint, commit.last);
            targets_[i].full_refresh = false;
            progressed_ = true;
            if (commit.last) end_table(state(i));
        }
    }
    unanswered_.clear();
}

bool Attempt::reads_from_checkpoint(size_t target) {
    bool rebuilds = targets_[target].full_refresh || targets_[target].mode == Mode::replace;
    return !rebuilds || state(target).durable;
}

Status Attempt::open() {
    std::vector<TableRead> reads;
    for (size_t i = 0; i < targets_.size(); ++i) {
        if (state(i).done) continue;
        auto from = reads_from_checkpoint(i) ? plans_[i].checkpoint : std::nullopt;
        bool whole = from && plans_[i].reads_everything;
        reads.push_back({.table = i, .from = std::move(from), .context = context(state(i)), .whole = whole});
    }
    return reads.empty() ? Status() : source_->open(std::move(reads));
}

Status Attempt::run_segments() {
    auto is_done = [&](const TableTarget& target) { return state(target.table).done; };
    while (!std::ranges::all_of(targets_, is_done)) {
        if (stop_.stop_requested()) return fail(interrupted());
        PN_TRY(auto segment, source_->next());
        if (!segment) break;
        PN_CHECK(run_segment(*segment));
    }
    return {};
}

void Attempt::end_tables() {
    for (const auto& table : states_.all()) end_table(*table);
}

Status Attempt::run_segment(Segment& segment) {
    auto started = std::chrono::steady_clock::now();
    std::vector<Loaded> loaded;
    Status status = guarded([&]() -> Status {
        PN_CHECK(load_segment(segment, loaded));
        PN_CHECK(check_accounts(loaded));
        return commit(loaded);
    });
    if (!status) {
        sink_->abort();
        take_back(loaded);
        return status;
    }
    auto duration = std::chrono::steady_clock::now() - started;
    for (const auto& table : loaded) {
        state(table.target).result.duration += duration;
        if (table.last) end_table(state(table.target));
    }
    return confirm(loaded);
}

Status Attempt::load_segment(Segment& segment, std::vector<Loaded>& loaded) {
    PN_CHECK(sink_->begin(request_.identity));
    for (auto& part : segment.parts) {
        auto known = std::ranges::find(loaded, part.table, &Loaded::target);
        if (known == loaded.end()) known = loaded.insert(loaded.end(), {.target = part.table});
        PN_CHECK(name_table(guarded([&] { return load_part(part, *known); }), targets_[part.table].info.name));
    }
    return {};
}

Status Attempt::load_part(Part& part, Loaded& loaded) {
    const auto& target = targets_[part.table];
    auto& table = state(part.table);
    if (request_.observer != nullptr) request_.observer->table_started(target, table.progress);
    PN_FAILPOINT(target_stage_before);
    PN_TRY(Counts counts, sink_->load(target, *part.scan, context(table)));
    PN_TRY(loaded.checkpoint, part.scan->finish());
    loaded.counts += counts;
    loaded.last = part.last;
    return {};
}

Status Attempt::check_accounts(std::vector<Loaded>& loaded) {
    for (auto& entry : loaded) {
        auto& table = state(entry.target);
        const auto& name = table.result.source;
        entry.counts = table.segment_counts(entry.counts);
        if (!entry.counts.balanced()) return fail(in_table(unbalanced(entry.counts), name));
        PN_CHECK(name_table(table.rejects.check_share(table.progress.rows_read), name));
    }
    return {};
}

Status Attempt::may_commit() const {
    if (stop_.stop_requested()) return fail(interrupted());
    return request_.may_commit ? request_.may_commit() : Status();
}

Status Attempt::commit(const std::vector<Loaded>& loaded) {
    std::vector<TableCommit> commits;
    for (const auto& entry : loaded) {
        const auto& target = targets_[entry.target];
        auto& table = state(entry.target);
        commits.push_back({target, entry.checkpoint, entry.counts, table.rejects});
        unanswered_.push_back(
            {table.result.source, plans_[entry.target].checkpoint, entry.checkpoint, entry.counts, entry.last});
    }
    Status may = may_commit();
    if (!may) {
        unanswered_.clear();
        return may;
    }
    Status committed = guarded([&] { return sink_->commit(commits); });
    if (!committed)
        return name_table(std::move(committed), loaded.size() == 1 ? targets_[loaded[0].target].info.name : "");
    progressed_ = true;
    for (const auto& entry : loaded) {
        state(entry.target).settle(entry.counts, entry.checkpoint, entry.last);
        targets_[entry.target].full_refresh = false;
        plans_[entry.target].checkpoint = entry.checkpoint;
    }
    unanswered_.clear();
    return {};
}

Status Attempt::confirm(const std::vector<Loaded>& loaded) {
    PN_FAILPOINT(target_commit_after);
    for (const auto& entry : loaded) {
        PN_FAILPOINT(source_confirm_before);
        PN_CHECK(name_table(source_->confirm(entry.target, entry.checkpoint), targets_[entry.target].info.name));
    }
    return {};
}

void Attempt::take_back(const std::vector<Loaded>& loaded) {
    for (const auto& entry : loaded) state(entry.target).rewind();
}

void Attempt::end_table(TableState& table) {
    if (table.ended) return;
    table.ended = true;
    if (request_.observer != nullptr) request_.observer->table_ended(table.result);
}

}  // namespace penstock::flow
