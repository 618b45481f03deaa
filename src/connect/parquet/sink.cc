#include "connect/parquet/sink.h"

#include <fmt/format.h>

#include <thread>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/parquet/bookkeeping.h"
#include "connect/parquet/path_template.h"
#include "connect/parquet/targets.h"

namespace penstock::parquet {
namespace {

/// A process that was stopped while it published is waited for so long.
constexpr auto lock_patience = std::chrono::seconds(60);
constexpr auto between_tries = std::chrono::milliseconds(10);

Status publish_failpoint() {
    PN_FAILPOINT(target_publish_during);
    return {};
}

}  // namespace

Sink::Sink(SinkOptions options) : options_(std::move(options)) {}

Sink::~Sink() { abort(); }

Status Sink::recover_if_free() {
    if (lock_.held() || !has_leftovers(options_.root, options_.pipeline)) return {};
    auto lock = FolderLock::take(lock_file(options_.root, options_.pipeline));
    // Whoever holds it is at work on what is there; a run is told so by begin().
    if (!lock && lock.error().kind == ErrorKind::conflict) return {};
    if (!lock) return fail(std::move(lock.error()));
    PN_TRY([[maybe_unused]] int count, recover(options_.root, options_.pipeline));
    return {};
}

Result<std::vector<flow::TablePlan>> Sink::plan(const std::vector<flow::TableTarget>& tables, std::stop_token stop) {
    stop_ = std::move(stop);
    PN_CHECK(check_root(options_.root));
    PN_CHECK(check_targets(tables));
    PN_CHECK(recover_if_free());
    std::vector<flow::TablePlan> plans;
    if (options_.events) {
        PN_TRY(auto kept, newest_manifest(options_.root, options_.pipeline, flow::stream_row));
        stream_.emplace();
        if (kept) stream_->at = kept->checkpoint;
    }
    for (const auto& target : tables) {
        flow::TablePlan plan;
        if (!target.info.rejects_only) {
            PN_TRY(plan, plan_table(target));
        }
        plans.push_back(std::move(plan));
    }
    return plans;
}

Result<flow::TablePlan> Sink::plan_table(const flow::TableTarget& target) const {
    PN_TRY(auto newest, newest_manifest(options_.root, options_.pipeline, target.name));
    flow::TablePlan plan;
    plan.exists = newest.has_value();
    if (newest) plan.checkpoint = newest->checkpoint;
    Shape shape = shape_for(target, newest, source_schema(target, target.info.schema));
    bool increment =
        newest && !target.info.cursor.empty() && !target.full_refresh && target.mode != flow::Mode::replace;
    plan.reads_everything = increment && shape.reads_everything;
    plan.decisions = std::move(shape.decisions);
    if (auto allowed = check_refused(target.info.name, plan.decisions); !allowed)
        plan.refusal = std::move(allowed.error());
    PN_CHECK(check_shape(target.info.name, shape.schema()));
    PN_TRY(auto partitions, parse_partitions(target.partition_by, shape.schema()));
    plan.statements = describe_load(target, options_.root, options_.write, partitions, created_at_, plan.exists);
    return plan;
}

/// Others hold it for as long as they publish.
Status Sink::take_lock() {
    if (lock_.held()) return {};
    auto file = lock_file(options_.root, options_.pipeline);
    auto until = std::chrono::steady_clock::now() + (shared_ ? lock_patience : std::chrono::seconds(0));
    while (true) {
        auto taken = FolderLock::take(file);
        if (taken) {
            lock_ = std::move(*taken);
            break;
        }
        bool waits = taken.error().kind == ErrorKind::conflict && std::chrono::steady_clock::now() < until;
        if (!waits || stop_.stop_requested()) return fail(std::move(taken.error()));
        std::this_thread::sleep_for(between_tries);
    }
    PN_TRY([[maybe_unused]] int count, recover(options_.root, options_.pipeline));
    return {};
}

Status Sink::stage_unit(const flow::RunIdentity& run) {
    unit_.emplace(options_.root, options_.pipeline, run.run_id);
    PN_CHECK(unit_->create());
    if (!shared_) return {};
    PN_TRY(living_, FolderLock::take(unit_->absolute() / living_file));
    lock_.release();
    return {};
}

Status Sink::begin(const flow::RunIdentity& run) {
    PN_CHECK(make_folder(options_.root));
    if (lock_.held()) {
        PN_TRY([[maybe_unused]] int count, recover(options_.root, options_.pipeline));
    }
    PN_CHECK(take_lock());
    run_id_ = run.run_id;
    staged_.clear();
    keeping_.reset();
    merge_ = nullptr;
    PN_CHECK(stage_unit(run));
    engine::Settings settings{.threads = options_.threads,
                              .memory_limit_bytes = options_.memory_bytes,
                              .temp_directory = unit_->absolute() / "spill"};
    PN_TRY(database_, engine::Database::in_memory(settings));
    return {};
}

Result<flow::Counts> Sink::load(const flow::TableTarget& target, flow::Scan& scan, const flow::ScanContext& context) {
    if (find_staged(target) >= 0)
        return fail({.kind = ErrorKind::internal,
                     .code = "table_in_parts",
                     .message = fmt::format("table {} came in several parts of one commit, which files cannot take",
                                            target.info.name)});
    // What is rewritten must stay what was read until it is published.
    if (shared_ && target.mode != flow::Mode::append) PN_CHECK(take_lock());
    LoadContext load{.unit = *unit_,
                     .options = options_.write,
                     .pipeline = options_.pipeline,
                     .run_id = run_id_,
                     .started_at = start_of_run(run_id_, created_at_),
                     .database = *database_};
    PN_TRY(auto staged, load_table(load, target, scan, context, staged_.size()));
    for (const auto& decision : staged.manifest.decisions)
        if (decision.change == "column_added" || decision.change == "column_replaced")
            log::info("{}: column {}: {}", target.info.name, decision.column, decision.detail);
    staged_.push_back(std::move(staged));
    return staged_.back().manifest.counts;
}

int Sink::find_staged(const flow::TableTarget& target) const {
    for (size_t i = 0; i < staged_.size(); ++i)
        if (staged_[i].manifest.target == target.name) return static_cast<int>(i);
    return -1;
}

Result<std::vector<Move>> Sink::stage_commit(const flow::TableCommit& table, size_t number) {
    Manifest& manifest = staged_[number].manifest;
    manifest.checkpoint = table.checkpoint;
    int64_t bytes_written = manifest.counts.bytes_written;
    manifest.counts = table.counts;
    manifest.counts.bytes_written = bytes_written;
    manifest.committed_at = now();
    PN_TRY(auto connection, database_->connect());
    PN_TRY(auto moves, stage_bookkeeping(connection, *unit_, number, manifest, table.rejects));
    PN_TRY(auto replayed, stage_replayed(connection, *unit_, number, options_.pipeline, table.target));
    moves.insert(moves.end(), replayed.begin(), replayed.end());
    Path file = unit_->folder() / std::to_string(number) / "manifest.json";
    PN_CHECK(write_file(unit_->root() / file, to_json(manifest)));
    Path place = manifest_folder(manifest.pipeline, manifest.target) / manifest_name(manifest.batch);
    moves.push_back({.from = file.string(), .to = place.string(), .marker = ""});
    return moves;
}

Result<size_t> Sink::stage_bare(const std::string& name) {
    PN_TRY(auto newest, newest_manifest(options_.root, options_.pipeline, name));
    staged_.push_back({.manifest = {.batch = newest ? newest->batch + 1 : 1,
                                    .pipeline = options_.pipeline,
                                    .run_id = run_id_,
                                    .source = name,
                                    .target = name,
                                    .mode = "append"},
                       .moves = {}});
    return staged_.size() - 1;
}

Status Sink::keep_stream(const flow::Checkpoint& at) {
    keeping_ = at;
    return {};
}

Result<std::vector<Move>> Sink::stage_stream() {
    PN_TRY(size_t number, stage_bare(flow::stream_row));
    flow::TableTarget target;
    target.info.name = target.name = flow::stream_row;
    return stage_commit({.target = target, .checkpoint = *keeping_, .counts = {}, .rejects = flow::RejectLog({})},
                        number);
}

Status Sink::share_stream(flow::StreamMerge merge) {
    merge_ = std::move(merge);
    return {};
}

Result<std::optional<flow::Checkpoint>> Sink::newest_stream() {
    PN_CHECK(take_lock());
    auto newest = newest_manifest(options_.root, options_.pipeline, flow::stream_row);
    lock_.release();
    if (!newest) return fail(std::move(newest.error()));
    stream_->at = *newest ? std::optional((*newest)->checkpoint) : std::nullopt;
    return stream_->at;
}

/// Under the lock: what was staged goes behind what others have committed since, unless they have given a table another shape.
Status Sink::catch_up() {
    PN_CHECK(take_lock());
    for (auto& staged : staged_) {
        auto& manifest = staged.manifest;
        PN_TRY(auto newest, newest_manifest(options_.root, options_.pipeline, manifest.target));
        if (!newest || newest->batch + 1 == manifest.batch) continue;
        if (data::to_json(newest->shape) != data::to_json(manifest.shape))
            return fail(flow::part_moved(
                fmt::format("{} was given other columns by another process meanwhile", manifest.target)));
        manifest.batch = newest->batch + 1;
        manifest.schema_version = newest->schema_version;
        manifest.decisions.clear();
    }
    PN_TRY(auto newest, newest_manifest(options_.root, options_.pipeline, flow::stream_row));
    PN_TRY(keeping_, merge_(newest ? std::optional(newest->checkpoint) : std::nullopt));
    return {};
}

Status Sink::commit(std::span<const flow::TableCommit> tables) {
    if (merge_) PN_CHECK(catch_up());
    std::vector<Move> moves;
    std::vector<Move> bookkeeping;
    for (const auto& staged : staged_) moves.insert(moves.end(), staged.moves.begin(), staged.moves.end());
    for (const auto& table : tables) {
        int number = find_staged(table.target);
        if (number < 0 && table.target.info.rejects_only) {
            PN_TRY(size_t bare, stage_bare(table.target.name));
            number = static_cast<int>(bare);
        }
        if (number < 0) continue;
        PN_TRY(auto more, stage_commit(table, static_cast<size_t>(number)));
        bookkeeping.insert(bookkeeping.end(), more.begin(), more.end());
    }
    if (keeping_) {
        PN_TRY(auto more, stage_stream());
        bookkeeping.insert(bookkeeping.end(), more.begin(), more.end());
    }
    moves.insert(moves.end(), bookkeeping.begin(), bookkeeping.end());
    PN_FAILPOINT(target_commit_before);
    database_.reset();
    PN_CHECK(remove_tree(unit_->absolute() / "spill"));
    PN_CHECK(unit_->write_intent(moves));
    PN_CHECK(unit_->finish(publish_failpoint));
    PN_FAILPOINT(target_cleanup_before);
    // Published is published; what stays behind is removed by the next run.
    if (auto removed = unit_->remove(); !removed) log::warning("replaced files were left: {}", removed.error().message);
    unit_.reset();
    staged_.clear();
    if (stream_ && keeping_) stream_->at = std::exchange(keeping_, std::nullopt);
    living_.release();
    if (shared_) lock_.release();
    return {};
}

/// After the intent there is nothing to forget: the next run publishes the rest.
void Sink::abort() noexcept {
    database_.reset();
    staged_.clear();
    if (unit_ && !unit_->has_intent())
        if (auto removed = unit_->remove(); !removed)
            log::warning("staged files were left: {}", removed.error().message);
    unit_.reset();
    living_.release();
    lock_.release();
}

}  // namespace penstock::parquet
