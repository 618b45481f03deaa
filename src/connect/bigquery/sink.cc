#include "connect/bigquery/sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <system_error>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/bigquery/fingerprint.h"
#include "connect/bigquery/ledger.h"
#include "connect/bigquery/price.h"
#include "connect/bigquery/reject_view.h"
#include "connect/bigquery/target_checks.h"
#include "connect/bigquery/write_patience.h"
#include "flow/target_checks.h"

namespace penstock::bigquery {
namespace {

using flow::Mode;

/// How long staging tables live if nobody drops them.
constexpr auto staging_life = std::chrono::hours(24);

Error stopped() { return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the run was stopped"}; }

/// By the true clock, which BigQuery goes by too.
TimePoint staging_end() {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now() + staging_life);
}

/// An append whose source starts again at its cursor bound.
bool rereads(const flow::TableTarget& target, const TargetTable& found) {
    return target.mode == Mode::append && !target.full_refresh && found.batch && !target.info.cursor.empty();
}

/// A user's expression that BigQuery cannot make sense of is a mistake in the configuration.
Error blame_update_when(Error error, const flow::TableTarget& target) {
    if (target.update_when.empty() || error.code != "bigquery_invalid_query") return error;
    return {.kind = ErrorKind::configuration,
            .code = "update_when_refused",
            .message = fmt::format("update_when of {} cannot be evaluated: {}", target.name, error.message),
            .hint =
                "it is a condition over T (the row in the target) and S (the row that was read), such as S.amount > "
                "T.amount"};
}

/// The plan has told the source so; one that reads nothing again goes no further.
Error not_brought(const flow::TableTarget& target) {
    return {.kind = ErrorKind::schema,
            .code = "schema_change_refused",
            .message = fmt::format("{} has a new column, and its changes do not tell what older rows have in it",
                                   target.info.name),
            .hint = "run once with --full-refresh: the table is built again from the source's rows"};
}

}  // namespace

/// What is done about rows, for `plan`: names stand for tables that are made for the run.
Result<StagedLoad> staged_load(const flow::TableTarget& target, const TargetTable& found, const Shape& shape,
                               const config::TypePolicies& policies, const std::string& run) {
    StagedLoad load{.target = target,
                    .shape = shape,
                    .policies = policies,
                    .into = found.id,
                    .staging = found.id,
                    .ready = found.id};
    load.staging.table += "__staging_" + run;
    load.ready.table += "__staging_" + run + "_ready";
    load.into_empty = !found.exists;
    load.rereads = rereads(target, found);
    load.began = now();
    load.ready_expires = staging_end();
    load.partition_column = found.exists ? found.partitioning.column : shape.made.partitioning.column;
    return load;
}

/// A merge whose condition names no partition reads the whole table. Said once.
void Sink::warn_of_cost(const StagedLoad& load) {
    const auto& target = load.target;
    bool merges = target.mode == Mode::merge && !load.into_empty && !rebuilds(target);
    if (!merges || load.partition_column.empty() || load.prunes || !warned_.insert(target.name).second) return;
    log::warning(
        "{}: the merge reads the whole table, because {} is not in its key: a row's older self may be in any partition",
        target.name, load.partition_column);
}

Sink::~Sink() = default;

Status Sink::connect(std::stop_token stop) {
    stop_ = std::move(stop);
    PN_TRY(client_, Client::make(settings_.connection, stop_));
    const auto& purse = settings_.purse;
    jobs_.emplace(*client_,
                  job_labels(settings_.connection, settings_.pipeline, purse == nullptr ? "" : purse->run().run_id),
                  purse);
    bookkeeping_.emplace(*client_, *jobs_);
    return {};
}

/// Checkpoints and recorded shapes of all targets, with one query each.
Status Sink::learn(const std::vector<flow::TableTarget>& tables) {
    PN_TRY([[maybe_unused]] bool there, has_dataset(*client_, settings_.connection.bookkeeping.value));
    PN_TRY(auto batches, bookkeeping_->newest_batches(settings_.pipeline));
    PN_TRY(auto history, bookkeeping_->schema_history(tables.size() == 1 ? tables.front().name : ""));
    stream_ = {}, stream_batch_ = 0;
    for (const auto& batch : batches)
        if (batch.source == flow::stream_row) stream_.at = batch.checkpoint, stream_batch_ = batch.batch;
    for (const auto& target : tables) {
        Known known;
        for (auto& batch : batches)
            if (batch.source == target.info.name && batch.target == target.name) known.batch = batch;
        const auto& fields = target.info.schema.fields;
        std::string relation = fields.empty() ? "" : fields.front().source_relation;
        std::optional<data::Schema> newest, ours;
        for (const auto& record : history) {
            if (record.table != target.name || record.columns.empty()) continue;
            known.schema_version = std::max(known.schema_version, record.version);
            PN_TRY(newest, data::schema_from_json(record.columns));
            bool same = std::ranges::any_of(newest->fields,
                                            [&](const auto& field) { return field.source_relation == relation; });
            if (relation.empty() || !same) continue;
            for (auto field : newest->fields) {
                std::ranges::transform(field.name, field.name.begin(), [](unsigned char c) { return std::tolower(c); });
                known.once_recorded.insert(field.name);
            }
            ours = newest;
        }
        known.recorded = ours ? ours : newest;
        known_[target.name] = std::move(known);
    }
    return {};
}

Result<TargetTable> Sink::inspect(const flow::TableTarget& target) {
    const auto& known = known_[target.name];
    PN_TRY(auto found, look_at(*client_, client_->table(target.name)));
    // A table that a batch was committed to moments ago is there, and has the columns that it was given, whatever metadata that lags
    // says of it.
    auto lacks_column = [&] {
        bool evolves = target.schema_change == flow::SchemaChange::evolve;
        return evolves && known.recorded && std::ranges::any_of(target.info.schema.fields, [&](const auto& field) {
                   return known.recorded->find(field.name) >= 0 && found.find(field.name) == nullptr;
               });
    };
    auto lags_until = known.batch ? known.batch->committed_at + metadata_lag : TimePoint{};
    bool told = false;
    while ((!found.exists || lacks_column()) && std::chrono::system_clock::now() < lags_until) {
        if (!std::exchange(told, true))
            log::info("{} {}, although it had moments ago: metadata may lag, waiting for it until {}", target.name,
                      found.exists ? "lacks a column" : "is not there", iso_time(lags_until));
        if (!client_->wait(std::chrono::seconds(2))) return fail(stopped());
        PN_TRY(found, look_at(*client_, client_->table(target.name)));
    }
    if (!found.exists) return found;  // whatever was recorded is of a table that somebody has dropped
    found.batch = known.batch;
    found.recorded = known.recorded;
    found.once_recorded = known.once_recorded;
    found.schema_version = known.schema_version;
    return found;
}

Result<std::vector<flow::TablePlan>> Sink::plan(const std::vector<flow::TableTarget>& tables, std::stop_token stop) {
    PN_CHECK(connect(std::move(stop)));
    PN_CHECK(learn(tables));
    std::vector<flow::TablePlan> plans;
    int64_t beside = jobs_->spent().bytes_billed;  // a run asks the same
    bool streams = settings_.publish == Publish::storage_write;
    for (const auto& target : tables) {
        if (target.info.rejects_only) {
            plans.emplace_back();
            continue;
        }
        PN_CHECK(flow::check_target(target));
        PN_TRY(auto found, inspect(target));
        PN_CHECK(check_history(target, found));
        PN_TRY(auto shape, compare(target, found, settings_.policies));
        flow::TablePlan plan{.exists = found.exists};
        if (found.batch) plan.checkpoint = found.batch->checkpoint;
        plan.reads_everything = plan.checkpoint && (target.info.changes || !target.info.cursor.empty()) &&
                                !rebuilds(target) && shape.reads_everything;
        if (auto allowed = refusal(target, shape); !allowed) plan.refusal = std::move(allowed.error());
        PN_TRY(auto load, staged_load(target, found, shape, settings_.policies, "<run_id>"));
        if (!plan.refusal) {
            if (known_[target.name].batch) {
                PN_TRY(int64_t asserted, bookkeeping_->price_of_assert({settings_.pipeline, ""}, target));
                beside += asserted;
            }
            PN_TRY(auto planned, planned_load(*jobs_, load, settings_.connection, std::exchange(beside, 0),
                                              streams ? settings_.usd_per_gib_written : std::optional<double>()));
            plan.statements = std::move(planned.statements);
            if (settings_.purse != nullptr) settings_.purse->expect({target.name, planned.charge});
        }
        plan.decisions = std::move(shape.decisions);
        plans.push_back(std::move(plan));
    }
    return plans;
}

Status Sink::open_engine() {
    if (engine_) return {};
    PN_TRY(folder_, ScratchFolder::make());
    settings_.engine.temp_directory = folder_->path() / "engine";
    auto parts = folder_->path() / "parts";
    std::error_code failed;
    if (!std::filesystem::create_directory(parts, failed))
        return fail({.kind = ErrorKind::capacity,
                     .code = "temporary_folder",
                     .message = fmt::format("cannot make {}: {}", parts.string(), failed.message()),
                     .hint = "rows are staged on this machine before they are loaded: give TMPDIR a folder with room"});
    PN_TRY(database_, engine::Database::in_memory(settings_.engine));
    PN_TRY(auto connection, database_->connect(stop_));
    engine_.emplace(std::move(connection));
    stage_.emplace(*database_, *engine_, parts, settings_.policies);
    if (settings_.publish == Publish::storage_write) stage_->limit_rows(most_message_bytes - message_frame);
    return {};
}

Status Sink::begin(const flow::RunIdentity& run) {
    run_ = run;
    // Of the process: a run that tries again has a new sink, and must not take up the old one's jobs.
    static std::atomic<int> units = 0;
    unit_ = ++units;
    waiting_.clear();
    staging_.clear();
    validations_.clear();
    stream_kept_.reset();
    merge_ = nullptr;
    rejects_.reset();
    PN_CHECK(open_engine());
    PN_FAILPOINT(target_open_after);
    fresh_.insert(settings_.connection.bookkeeping.value);
    PN_CHECK(bookkeeping_->create());
    if (!settings_.rejects || view_made_) return {};
    view_made_ = true;
    return make_view(*client_, *settings_.rejects);
}

/// What a killed run of this pipeline has left; it would expire in a day. Of processes that share a stream nobody knows here which
/// of them are at work.
Status Sink::reap_leftovers(const std::string& dataset) {
    if (shared_ || !reaped_.insert(dataset).second) return {};
    PN_TRY(auto left, tables_labelled(*client_, dataset, "penstock_staging", label_value(settings_.pipeline)));
    for (const auto& table : left) {
        if (table.table.find("__staging_") == table.table.npos || table.table.find(run_.run_id) != table.table.npos)
            continue;
        PN_FAILPOINT(target_cleanup_before);
        PN_CHECK(drop_table(*client_, table));
    }
    return {};
}

Result<bool> Sink::apply(const flow::TableTarget& target, const TargetTable& found, const Shape& shape) {
    PN_FAILPOINT(target_schema_before);
    PN_CHECK(make_dataset(*client_, found.id.dataset));
    PN_CHECK(reap_leftovers(found.id.dataset));
    if (!found.exists) {
        NewTable made = shape.made;
        made.labels = settings_.connection.labels;
        fresh_.insert(found.id.table);
        return make_table(*client_, made);
    }
    for (const auto& decision : shape.decisions) {
        if (decision.decision == "ignored") log::warning("{}: {}", target.info.name, decision.detail);
        else if (shape.reads_everything) log::info("{}: {}", target.info.name, decision.detail);
        if (decision.sql.empty()) continue;
        PN_CHECK(jobs_->run(
            {.sql = decision.sql, .what = fmt::format("change the columns of {}", target.name), .fresh = fresh()}));
        for (const auto& column : shape.columns)
            if (column.fresh || column.source == decision.column) fresh_.insert(column.column.name);
    }
    return false;
}

/// Each file a job.
Result<int64_t> Sink::load_by_jobs(const StagedFiles& staged, const TableId& into, const std::string& name) {
    int64_t loaded = 0;
    for (size_t i = 0; i < staged.files.size(); ++i) {
        std::error_code failed;
        auto size = std::filesystem::file_size(staged.files[i], failed);
        io::FileBody file{.file = staged.files[i], .size = failed ? 0 : size};
        PN_TRY(auto done, jobs_->load(into, file, fmt::format("{}/{}/{}", run_.run_id, name, i)));
        loaded += done.output_rows;
        PN_FAILPOINT(target_publish_during);
    }
    return loaded;
}

/// What is sent is what is billed. Before, only the size of the files here is known, which are compressed.
Result<int64_t> Sink::load_by_streams(const StagedFiles& staged, const TableId& into) {
    auto usd_of = [&](int64_t bytes) {
        return static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 30) * settings_.usd_per_gib_written;
    };
    const auto& purse = settings_.purse;
    if (purse != nullptr) PN_CHECK(purse->allow_usd("write rows of " + into.dotted(), usd_of(staged.bytes)));
    int64_t sent_before = writer_->bytes_sent();
    auto loaded = writer_->write(*engine_, staged, into);
    if (purse != nullptr) purse->add({.usd = usd_of(writer_->bytes_sent() - sent_before)});
    return loaded;
}

Status Sink::load_files(const StagedFiles& staged, const TableId& into, const std::string& name, Publish by) {
    staging_.push_back(into);
    fresh_.insert("__staging_");
    NewTable made{.id = into, .columns = staged.columns};
    made.labels = settings_.connection.labels;
    made.labels["penstock_staging"] = label_value(settings_.pipeline);
    made.expires = staging_end();
    PN_TRY([[maybe_unused]] bool now, make_table(*client_, made));
    bool streams = by == Publish::storage_write;
    if (streams && writer_ == nullptr) {
        PN_TRY(writer_, StorageWriter::make(settings_.connection, stop_));
    }
    PN_TRY(int64_t loaded, streams ? load_by_streams(staged, into) : load_by_jobs(staged, into, name));
    int64_t expected = streams ? staged.taken() : staged.rows;
    if (loaded == expected) return {};
    return fail(
        {.kind = ErrorKind::internal,
         .code = "rows_lost",
         .message = fmt::format("{} rows were written for {} and BigQuery loaded {}", expected, into.dotted(), loaded),
         .hint = "nothing was committed; please report this with the run's log"});
}

/// The rows that are left to write, counted.
Result<int64_t> Sink::resolve(const StagedLoad& load, const std::string& statement, const char* counted_where) {
    staging_.push_back(load.ready);
    auto made = jobs_->run({.sql = statement,
                            .what = fmt::format("compare the rows with {}", load.into.dotted()),
                            .name = fmt::format("{}/{}/ready", run_.run_id, load.ready.dotted()),
                            .fresh = fresh()});
    if (!made) return fail(blame_update_when(std::move(made.error()), load.target));
    PN_TRY(auto counted,
           jobs_->select({.sql = fmt::format("SELECT COUNT(*) FROM {}{}", load.ready.quoted(), counted_where),
                          .what = "count the rows that are left to write",
                          .fresh = fresh()}));
    return counted.rows.empty() ? 0 : counted.number(0, 0);
}

/// What the staged rows reach of the table's partitions.
Status Sink::divide(const StagedFiles& staged, const TargetTable& found, StagedLoad& load) {
    const auto& partitioning = found.exists ? found.partitioning : load.shape.made.partitioning;
    auto column = std::ranges::find_if(load.shape.columns,
                                       [&](const auto& c) { return same_name(c.column.name, load.partition_column); });
    if (column != load.shape.columns.end()) {
        PN_TRY(load.partitions, stage_->partition_ranges(staged, *column, partitioning));
        load.prunes = prunes(load.target, load.shape, load.partition_column);
    }
    warn_of_cost(load);
    return {};
}

Result<flow::Counts> Sink::load(const flow::TableTarget& target, flow::Scan& scan, const flow::ScanContext& context) {
    PN_CHECK(flow::check_target(target));
    PN_TRY(auto found, inspect(target));
    PN_CHECK(check_history(target, found));
    PN_TRY(auto shape, compare(target, found, settings_.policies));
    PN_CHECK(refusal(target, shape));
    if (target.info.changes && !target.whole && shape.reads_everything) return fail(not_brought(target));
    PN_TRY(bool made, apply(target, found, shape));
    auto& waiting = waiting_.emplace_back(Waiting{.target = target.name,
                                                  .shape = std::move(shape),
                                                  .schema_version = found.schema_version + 1,
                                                  .source = target.info.schema,
                                                  .statements = {}});
    if (target.info.changes) return load_changes(target, scan, context, found, made);

    PN_TRY(auto staged, stage_->write(target, waiting.shape, scan, context));
    flow::Counts counts{.rows_read = staged.rows_read,
                        .rows_written = staged.taken(),
                        .rows_filtered = staged.filtered,
                        .bytes_written = staged.bytes};
    if (staged.taken() == 0) {  // a statement over no rows would bill all the same
        if (rebuilds(target)) waiting.statements = {"TRUNCATE TABLE " + found.id.quoted()};
        stage_->clear();
        return counts;
    }
    std::string suffix = fmt::format("{}_{}_{}", run_.run_id, unit_, waiting_.size());
    PN_TRY(auto load, staged_load(target, found, waiting.shape, settings_.policies, suffix));
    load.into_empty = made;  // what metadata says of how many rows there are may be old
    load.marks_rejects = staged.marks_rejects;
    load.label = label_value(settings_.pipeline);
    if (load.rereads) {
        if (const auto* cursor = waiting.shape.find(target.info.cursor)) {
            PN_TRY(load.cursor, stage_->range_of(staged, *cursor));
        }
    }
    PN_CHECK(divide(staged, found, load));
    int64_t sent_before = writer_ == nullptr ? 0 : writer_->bytes_sent();
    PN_CHECK(load_files(staged, load.staging, load.staging.dotted(), settings_.publish));
    if (writer_ != nullptr) counts.bytes_written = writer_->bytes_sent() - sent_before;
    stage_->clear();
    PN_TRY(auto resolving, resolve_sql(load));
    if (resolving) {
        PN_TRY(int64_t left, resolve(load, *resolving, ""));
        counts.rows_filtered += counts.rows_written - left;
        counts.rows_written = left;
    }
    PN_TRY(waiting.statements, publish_sql(load, resolving.has_value()));
    PN_FAILPOINT(target_stage_after);
    return counts;
}

void Sink::drop_staging() noexcept {
    for (const auto& table : staging_)
        if (auto dropped = drop_table(*client_, table); !dropped)
            log::debug("{} stays until it expires: {}", table.dotted(), dropped.error().message);
    staging_.clear();
    waiting_.clear();
}

void Sink::abort() noexcept {
    if (stage_) stage_->clear();
    if (!client_) return;
    if (client_->stopped()) client_->begin_last_calls();
    drop_staging();
}

}  // namespace penstock::bigquery
