#include "state/target_ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "state/connection.h"
#include "state/ledger_rows.h"

namespace penstock::state {
namespace {

Error moved(const std::string& pipeline, const std::string& target) {
    return {.kind = ErrorKind::conflict,
            .code = "checkpoint_moved",
            .message = fmt::format("another run of pipeline {} has written {} since this one began", pipeline, target),
            .hint = "what this run wrote since its last checkpoint is written again; run again"};
}

}  // namespace

TargetLedger::TargetLedger(std::string url, std::filesystem::path directory, std::string connection)
    : url_(std::move(url)), directory_(std::move(directory)), connection_name_(std::move(connection)) {}
TargetLedger::~TargetLedger() = default;

/// Nothing where there is no state yet.
Result<Connection*> TargetLedger::open(bool create) {
    if (connection_) return connection_.get();
    PN_TRY(auto place, place_of(url_, directory_));
    PN_TRY(connection_, Connection::open(place, create ? Connection::Create::yes : Connection::Create::no));
    if (connection_ == nullptr) return nullptr;
    // The source lets go of what a checkpoint covers: unlike a run's history it must outlive a power cut.
    PN_CHECK(connection_->make_durable());
    connection_->set_patience(Connection::long_patience);
    return connection_.get();
}

Result<std::vector<flow::RejectRecord>> TargetLedger::rejects(const flow::RejectFilter& filter) {
    std::vector<flow::RejectRecord> found;
    PN_TRY(auto* connection, open(false));
    if (connection == nullptr) return found;
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        found = select_rejects(sql, filter, connection_name_);
        return {};
    }));
    return found;
}

Result<int64_t> TargetLedger::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    PN_TRY(auto* connection, open(false));
    if (connection == nullptr) return 0;
    int64_t resolved = 0;
    PN_CHECK(connection->write(
        [&](soci::session& sql) -> Status {
            resolved = resolve_rejects(sql, filter, resolution, at, connection_name_);
            return {};
        },
        [&](soci::session& sql) -> Result<bool> { return was_resolved(sql, resolution, at, connection_name_); }));
    return resolved;
}

Result<std::vector<flow::SchemaRecord>> TargetLedger::schema_history(std::string_view) {
    return std::vector<flow::SchemaRecord>();
}

Result<std::vector<flow::BatchRecord>> TargetLedger::checkpoints(std::string_view pipeline) {
    std::vector<flow::BatchRecord> found;
    PN_TRY(auto* connection, open(false));
    if (connection == nullptr) return found;
    std::string wanted(pipeline);
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        found = select_batches(sql, connection_name_, wanted);
        return {};
    }));
    return found;
}

Result<std::optional<flow::Checkpoint>> TargetLedger::checkpoint(const std::string& pipeline, const std::string& source,
                                                                 const std::string& target) {
    std::optional<flow::Checkpoint> newest;
    PN_TRY(auto* connection, open(false));
    long long& known = known_batches_[{source, target}] = 0;
    if (connection == nullptr) return newest;
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        auto found = select_batch(sql, pipeline, source, target);
        newest = found ? std::optional(found->checkpoint) : std::nullopt;
        known = found ? found->batch : 0;
        return {};
    }));
    return newest;
}

Status TargetLedger::commit(const flow::RunIdentity& run, std::span<const flow::TableCommit> tables,
                            const std::optional<flow::Checkpoint>& stream) {
    PN_TRY(auto* connection, open(true));
    auto committed_at = now();
    std::map<Names, long long> batch_of;
    auto work = [&](soci::session& sql) -> Status {
        batch_of.clear();
        auto put = [&](const std::string& source, const std::string& target, const flow::Checkpoint& checkpoint,
                       const flow::Counts& counts) -> Status {
            auto before = select_batch(sql, run.pipeline, source, target);
            long long newest = before ? before->batch : 0;
            auto known = known_batches_.find({source, target});
            if (known != known_batches_.end() && known->second != newest) return fail(moved(run.pipeline, target));
            batch_of[{source, target}] = newest + 1;
            put_batch(sql,
                      {.pipeline = run.pipeline,
                       .run_id = run.run_id,
                       .batch = newest + 1,
                       .source = source,
                       .target = target,
                       .checkpoint = checkpoint,
                       .counts = counts,
                       .committed_at = committed_at},
                      connection_name_);
            return {};
        };
        for (const auto& [target, checkpoint, counts, rejects] : tables) {
            long long closed = 0;
            if (!target.replays.empty())
                closed = resolve_rejects(sql, {.pipeline = run.pipeline, .ids = target.replays},
                                         flow::Resolution::replayed, committed_at, connection_name_);
            if (closed != static_cast<long long>(target.replays.size()))
                return fail(flow::rejects_closed(target, closed));
            PN_CHECK(put_rejects(sql, run, rejects, connection_name_));
            PN_CHECK(put(target.info.name, target.name, checkpoint, counts));
        }
        return stream ? put(stream_source, "", *stream, {}) : Status();
    };
    // Nobody else writes under this run's id, and a number is given once.
    auto landed = [&](soci::session& sql) -> Result<bool> {
        return !batch_of.empty() && std::ranges::all_of(batch_of, [&](const auto& written) {
            auto found = select_batch(sql, run.pipeline, written.first.first, written.first.second);
            return found && found->run_id == run.run_id && found->batch == written.second;
        });
    };
    PN_CHECK(connection->write(work, landed));
    for (const auto& [names, batch] : batch_of) known_batches_[names] = batch;
    return {};
}

}  // namespace penstock::state
