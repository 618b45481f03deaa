// One transaction of all that a unit of work has staged, with its checkpoints.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/bigquery/fingerprint.h"
#include "connect/bigquery/sink.h"
#include "connect/bigquery/validations.h"

namespace penstock::bigquery {
namespace {

/// Times in a row that others may commit a shared stream's next batch before this process does.
constexpr int most_overtaken = 50;

Error commit_error(Error error, const Error& when_moved, const Error& when_closed) {
    if (error.message.find(checkpoint_moved_text) != error.message.npos) return when_moved;
    if (error.message.find(rejects_closed_text) != error.message.npos) return when_closed;
    return error;
}

}  // namespace

Result<TableId> Sink::stage_rejects(std::span<const flow::TableCommit> tables) {
    std::vector<const flow::RejectLog*> logs;
    for (const auto& table : tables) logs.push_back(&table.rejects);
    TableId id = client_->bookkeeping(fmt::format("rejects__staging_{}_{}", run_.run_id, unit_));
    PN_TRY(auto staged, stage_->write_rejects(run_, logs, bookkeeping_->rejects_like(id).columns));
    PN_CHECK(load_files(staged, id, id.dotted()));
    stage_->clear();
    return id;
}

Error Sink::moved(const std::string& what) const {
    return {.kind = ErrorKind::conflict,
            .code = "checkpoint_moved",
            .message =
                fmt::format("another run of pipeline {} has written {} since this one began", settings_.pipeline, what),
            .hint = "nothing was written; run again"};
}

/// All of the unit in one transaction.
Result<Query> Sink::commit_query(std::span<const flow::TableCommit> tables) {
    Query query{.sql = "BEGIN TRANSACTION;\n", .what = "commit the rows", .fresh = fresh()};
    auto add = [&](const std::string& statement, bool reads = false) {
        query.sql += statement + ";\n";
        if (reads) query.parts.push_back(statement);
    };
    auto at = now();
    std::vector<std::string> name = {settings_.pipeline};
    bool any_rejects = false;
    std::vector<Bookkeeping::Committed> before;
    for (const auto& table : tables) {
        const auto& known = known_[table.target.name].batch;
        before.push_back({table.target.info.name, table.target.name, known ? known->batch : 0});
        if (!stream_kept_) {
            add(bookkeeping_->assert_unmoved(run_, table.target, before.back().batch));
            name.push_back(
                fmt::format("{}>{}>{}", before.back().source, before.back().target, before.back().batch + 1));
        }
        any_rejects = any_rejects || table.rejects.size() != 0;
    }
    // Of a stream, whoever comes next commits the same number, whatever tables their run of transactions has.
    if (stream_kept_) {
        add(bookkeeping_->assert_stream_unmoved(run_, stream_batch_, before));
        name.push_back(fmt::format("{}>{}", flow::stream_row, stream_batch_ + 1));
    }
    for (const auto& waiting : waiting_)
        for (const auto& statement : waiting.statements) add(statement, !statement.starts_with("TRUNCATE"));
    for (const auto& table : tables)
        for (const auto& statement : bookkeeping_->mark_replayed(run_, table.target, at)) add(statement);
    if (any_rejects && !rejects_) {
        PN_TRY(rejects_, stage_rejects(tables));
    }
    if (any_rejects) add(bookkeeping_->add_rejects(*rejects_), true);
    for (const auto& waiting : waiting_)
        if (!waiting.shape.decisions.empty())
            add(bookkeeping_->add_decisions(waiting.target, waiting.schema_version, waiting.source,
                                            waiting.shape.decisions, at));
    for (const auto& table : tables) {
        const auto& known = known_[table.target.name].batch;
        add(bookkeeping_->add_batch(run_, table, known ? known->batch + 1 : 1, at));
    }
    if (!validations_.empty()) add(validations_);
    if (stream_kept_) add(bookkeeping_->add_stream(run_, *stream_kept_, stream_batch_ + 1, at));
    query.sql += "COMMIT TRANSACTION;";
    std::ranges::sort(name);
    query.name = "commit/" + fingerprint(name);
    return query;
}

Status Sink::keep_validations(std::span<const flow::ValidationRecord> records) {
    PN_CHECK(make_validations_table(*client_));
    validations_ = add_validations(*client_, records);
    return {};
}

Result<std::optional<flow::AskedTable>> Sink::asked(const std::string& target) {
    return asked_table(*client_, *jobs_, target);
}

Status Sink::commit_alone(std::span<const flow::TableCommit> tables) {
    PN_TRY(auto query, commit_query(tables));
    PN_FAILPOINT(target_commit_before);
    return commit_once(std::move(query), tables);
}

/// Whoever comes second merges into what the first has written, and tries again behind it.
Status Sink::commit_shared(std::span<const flow::TableCommit> tables) {
    for (int tries = 1;; ++tries) {
        PN_TRY(stream_kept_, merge_(stream_.at));
        auto done = commit_alone(tables);
        if (done || done.error().code != "checkpoint_moved" || tries == most_overtaken) return done;
        log::debug("another process has committed batch {} of {}: merging into it", stream_batch_ + 1,
                   settings_.pipeline);
        PN_CHECK(catch_up(tables));
    }
}

/// What others have committed: checkpoints, batches and shapes.
Status Sink::catch_up(std::span<const flow::TableCommit> tables) {
    std::vector<flow::TableTarget> targets;
    for (const auto& table : tables) targets.push_back(table.target);
    PN_CHECK(learn(targets));
    for (auto& waiting : waiting_) {
        const auto& known = known_[waiting.target];
        bool recorded = known.recorded && data::to_json(*known.recorded) == data::to_json(waiting.source);
        if (recorded) waiting.shape.decisions.clear();
        waiting.schema_version = known.schema_version + 1;
    }
    return {};
}

Result<std::optional<flow::Checkpoint>> Sink::newest_stream() {
    PN_TRY(auto batches, bookkeeping_->newest_batches(settings_.pipeline));
    for (const auto& batch : batches)
        if (batch.source == flow::stream_row) stream_.at = batch.checkpoint, stream_batch_ = batch.batch;
    return stream_.at;
}

Status Sink::share_stream(flow::StreamMerge merge) {
    merge_ = std::move(merge);
    return {};
}

Status Sink::commit(std::span<const flow::TableCommit> tables) {
    // Of no table, with nothing to be told from another run's: what checks have found, and no batch.
    if (tables.empty() && !stream_kept_ && !merge_) {
        if (validations_.empty()) return {};
        PN_CHECK(jobs_->run({.sql = validations_, .what = "keep what checks have found", .fresh = fresh()}));
        return {};
    }
    PN_FAILPOINT(target_merge_after);
    PN_CHECK(merge_ ? commit_shared(tables) : commit_alone(tables));
    for (const auto& table : tables) {
        auto& known = known_[table.target.name];
        int64_t batch = known.batch ? known.batch->batch + 1 : 1;
        known.batch = flow::BatchRecord{.pipeline = run_.pipeline,
                                        .run_id = run_.run_id,
                                        .batch = batch,
                                        .source = table.target.info.name,
                                        .target = table.target.name,
                                        .checkpoint = table.checkpoint,
                                        .counts = table.counts,
                                        .committed_at = now()};
        log::debug("batch {} of {} is committed", batch, table.target.name);
    }
    for (const auto& waiting : waiting_) {
        auto& known = known_[waiting.target];
        if (waiting.shape.decisions.empty()) continue;
        known.recorded = waiting.source;
        known.schema_version = waiting.schema_version;
    }
    if (stream_kept_) stream_.at = std::exchange(stream_kept_, std::nullopt), ++stream_batch_;
    drop_staging();
    return {};
}

/// A job of the commit's name that did something else is another run's commit of the same batch, unless what it wrote is gone:
/// somebody has emptied the bookkeeping since.
Status Sink::commit_once(Query query, std::span<const flow::TableCommit> tables) {
    std::string name = query.name,
                what = tables.empty() || stream_kept_ ? "how far its stream is" : tables.front().target.name;
    for (int generation = 0;; ++generation) {
        query.name = fmt::format("{}/{}", name, generation);
        auto done = jobs_->run(query);
        if (!done)
            return fail(commit_error(std::move(done.error()), moved(what),
                                     tables.empty() ? moved(what) : flow::rejects_closed(tables.front().target, -1)));
        if (done->same) return {};
        PN_TRY(auto batches, bookkeeping_->newest_batches(settings_.pipeline));
        if (stream_kept_ && std::ranges::any_of(batches, [&](const auto& batch) {
                return batch.source == flow::stream_row && batch.batch > stream_batch_;
            }))
            return fail(moved(what));
        for (const auto& table : tables) {
            const auto& known = known_[table.target.name].batch;
            auto newest = std::ranges::find_if(batches, [&](const auto& batch) {
                return batch.source == table.target.info.name && batch.target == table.target.name;
            });
            if (newest != batches.end() && newest->batch > (known ? known->batch : 0))
                return fail(moved(table.target.name));
        }
    }
}

}  // namespace penstock::bigquery
