#include "connect/duckdb/sink.h"

#include <fmt/format.h>

#include <system_error>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/duckdb/changes.h"
#include "connect/duckdb/reject_view.h"
#include "connect/duckdb/sink_volume.h"
#include "connect/duckdb/validations.h"
#include "engine/sql.h"
#include "flow/target_checks.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;

/// An append whose source starts again at its cursor bound.
bool rereads(const flow::TableTarget& target, const TargetTable& found) {
    return target.mode == flow::Mode::append && !target.full_refresh && found.batch && !target.info.cursor.empty();
}

flow::TablePlan plan_of(const flow::TableTarget& target, const TargetTable& found, Shape shape) {
    flow::TablePlan plan;
    plan.exists = found.exists;
    if (found.batch) plan.checkpoint = found.batch->checkpoint;
    bool increment = plan.checkpoint && (target.info.changes || !target.info.cursor.empty()) && !rebuilds(target);
    plan.reads_everything = increment && shape.reads_everything;
    plan.statements = statements_of(target, found, shape, rereads(target, found));
    if (auto allowed = refusal(target, shape); !allowed) plan.refusal = std::move(allowed.error());
    plan.decisions = std::move(shape.decisions);
    return plan;
}

/// The plan has told the source so; one that reads nothing again goes no further.
Error not_brought(const flow::TableTarget& target) {
    return {.kind = ErrorKind::schema,
            .code = "schema_change_refused",
            .message = fmt::format("{} has a new column, and its changes do not tell what older rows have in it",
                                   target.info.name),
            .hint = "run once with --full-refresh: the table is built again from the source's rows"};
}

/// Rows are measured before it is known which of them are written.
int64_t share_of(int64_t bytes, int64_t written, int64_t read) {
    if (written >= read) return bytes;
    return static_cast<int64_t>(static_cast<double>(bytes) * static_cast<double>(written) / static_cast<double>(read));
}

}  // namespace

Error Sink::at_file(Error error) const { return std::move(error).at(settings_.file.string()); }

Result<std::vector<flow::TablePlan>> Sink::plan(const std::vector<flow::TableTarget>& tables, std::stop_token stop) {
    stop_ = stop;
    std::optional<engine::Database> database;
    std::optional<engine::Connection> connection;
    std::error_code ignored;
    if (std::filesystem::exists(settings_.file, ignored)) {
        engine::Settings reading = settings_.engine;
        reading.read_only = true;
        PN_TRY(database, engine::Database::open(settings_.file, reading));
        PN_TRY(auto opened, database->connect(stop));
        connection.emplace(std::move(opened));
    }
    if (connection) {
        PN_TRY(auto kept, bookkeeping_.stream(*connection, settings_.pipeline));
        if (kept) stream_.at = kept->checkpoint, stream_batch_ = kept->batch;
    }
    std::vector<flow::TablePlan> plans;
    for (const auto& target : tables) {
        if (target.info.rejects_only) {
            plans.emplace_back();
            continue;
        }
        PN_CHECK(flow::check_target(target));
        TargetTable found = absent_table(target);
        if (connection) {
            PN_TRY(found, inspect(*connection, bookkeeping_, settings_.pipeline, target));
        }
        PN_TRY(auto shape, compare(target, found));
        known_batches_[target.name] = found.batch ? found.batch->batch : 0;
        plans.push_back(plan_of(target, found, std::move(shape)));
    }
    return plans;
}

Status Sink::open() {
    if (connection_) return {};
    auto folder = settings_.file.parent_path();
    std::error_code failed;
    if (!folder.empty() && std::filesystem::create_directories(folder, failed))
        log::info("created folder {}", folder.string());
    PN_TRY(database_, engine::Database::open(settings_.file, settings_.engine));
    PN_TRY(auto connection, database_->connect(stop_));
    connection_.emplace(std::move(connection));
    return reap_leftovers();
}

/// What is built aside dies with its transaction; a table of that name can only come from somebody's hand or from a version
/// that worked otherwise. The write lock is ours, so nobody else's run is under way here.
Status Sink::reap_leftovers() {
    PN_TRY(auto rows,
           connection_->query(
               "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND "
               "regexp_matches(table_name, '__staging_[0-9]{8}t[0-9]{6}_[0-9a-f]{12}$')"));
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        PN_FAILPOINT(target_cleanup_before);
        PN_CHECK(connection_->execute("DROP TABLE " + engine::TableName{rows.text(i, 0), rows.text(i, 1)}.quoted()));
    }
    return {};
}

Status Sink::begin(const flow::RunIdentity& run) {
    run_ = run;
    stream_kept_.reset();
    Status opened = open();
    if (!opened) {
        connection_.reset();
        return fail(at_file(std::move(opened.error())));
    }
    PN_CHECK(connection_->execute("BEGIN TRANSACTION"));
    PN_CHECK(bookkeeping_.create(*connection_));
    return settings_.rejects ? make_view(*connection_, *settings_.rejects) : Status();
}

Error Sink::moved(const std::string& what) const {
    return {.kind = ErrorKind::conflict,
            .code = "checkpoint_moved",
            .message =
                fmt::format("another run of pipeline {} has written {} since this one began", settings_.pipeline, what),
            .hint = "nothing was written; run again"};
}

/// The checkpoint that the source read from must still be the newest.
Status Sink::check_unmoved(const flow::TableTarget& target, const TargetTable& found) {
    int64_t newest = found.batch ? found.batch->batch : 0;
    auto known = known_batches_.find(target.name);
    if (known == known_batches_.end() || known->second == newest) return {};
    return fail(moved(target.name));
}

Status Sink::apply(const flow::TableTarget& target, const TargetTable& found, const Shape& shape, bool aside) {
    PN_FAILPOINT(target_schema_before);
    PN_CHECK(connection_->execute("CREATE SCHEMA IF NOT EXISTS " + quote_identifier(found.name.schema)));
    for (const auto& decision : shape.decisions) {
        if (decision.decision == "ignored") log::warning("{}: {}", target.info.name, decision.detail);
        else if (shape.reads_everything) log::info("{}: {}", target.info.name, decision.detail);
        if (decision.sql.empty() || (aside && found.exists)) continue;
        PN_CHECK(connection_->execute(decision.sql));
    }
    return bookkeeping_.add_decisions(*connection_, target.name, found.schema_version + 1, target.info.schema,
                                      shape.decisions);
}

Result<flow::Counts> Sink::load(const flow::TableTarget& target, flow::Scan& scan, const flow::ScanContext& context) {
    PN_CHECK(flow::check_target(target));
    PN_TRY(auto found, inspect(*connection_, bookkeeping_, settings_.pipeline, target));
    PN_CHECK(check_unmoved(target, found));
    PN_TRY(auto shape, compare(target, found));
    PN_CHECK(refusal(target, shape));
    if (target.info.changes && !target.whole && shape.reads_everything) return fail(not_brought(target));
    PN_CHECK(apply(target, found, shape, rebuilds(target)));

    bool aside = found.exists && rebuilds(target);
    MeasuredScan measured(scan);
    engine::LentScan lent(*database_, measured, target.info.estimated_rows);
    Load load{.connection = *connection_,
              .target = target,
              .shape = shape,
              .into = found.name,
              .into_empty = found.empty || aside,
              .into_unique = found.has_unique_index && !aside,
              .rereads = rereads(target, found),
              .scan = lent,
              .context = context};
    if (aside) {
        load.into.table += "__staging_" + run_.run_id;
        PN_CHECK(create_aside(load.into, target, found, shape));
    }
    auto counts = load_rows(load);
    if (!counts) return fail(at_file(std::move(counts.error())));
    counts->bytes_written = share_of(measured.bytes(), counts->rows_written, counts->rows_read);
    PN_FAILPOINT(target_stage_after);
    if (aside) PN_CHECK(swap(found, load.into));
    return counts;
}

/// Under `freeze` it also has the columns that only the target has.
Status Sink::create_aside(const engine::TableName& aside, const flow::TableTarget& target, const TargetTable& found,
                          const Shape& shape) {
    PN_CHECK(connection_->execute(create_table_sql(aside, target, shape, found.storage)));
    for (const auto& name : shape.only_in_target)
        PN_CHECK(connection_->execute(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", aside.quoted(),
                                                  quote_identifier(name), found.find(name)->sql_type)));
    return {};
}

Result<flow::Counts> Sink::load_rows(Load& load) {
    if (load.target.info.changes) return apply_changes(load);
    switch (load.target.mode) {
        case flow::Mode::append: return append(load);
        case flow::Mode::replace: return insert_all(load);
        case flow::Mode::merge: return merge(load);
        case flow::Mode::history: return history(load);
    }
    std::unreachable();
}

/// The new table takes the old one's name and its indexes.
Status Sink::swap(const TargetTable& found, const engine::TableName& aside) {
    PN_CHECK(connection_->execute("DROP TABLE " + found.name.quoted()));
    PN_CHECK(connection_->execute(
        fmt::format("ALTER TABLE {} RENAME TO {}", aside.quoted(), quote_identifier(found.name.table))));
    for (const auto& index : found.index_statements) PN_CHECK(connection_->execute(index));
    return {};
}

Status Sink::keep_stream(const flow::Checkpoint& at) {
    PN_TRY(auto newest, bookkeeping_.stream(*connection_, settings_.pipeline));
    if ((newest ? newest->batch : 0) != stream_batch_) return fail(moved("how far its stream is"));
    PN_CHECK(bookkeeping_.keep_stream(*connection_, run_, at));
    stream_kept_ = at;
    return {};
}

Status Sink::keep_validations(std::span<const flow::ValidationRecord> records) {
    return duckdb::keep_validations(*connection_, records);
}

Result<std::optional<flow::AskedTable>> Sink::asked(const std::string& target) {
    return asked_table(*connection_, target);
}

Result<std::optional<int64_t>> Sink::remove(const std::string& target, const std::string& condition) {
    PN_TRY(auto removed, connection_->execute(fmt::format("DELETE FROM {} WHERE {}",
                                                          engine::TableName::parse(target).quoted(), condition)));
    return std::optional(removed);
}

Status Sink::commit(std::span<const flow::TableCommit> tables) {
    PN_FAILPOINT(target_merge_after);
    for (const auto& table : tables) {
        PN_CHECK(bookkeeping_.mark_replayed(*connection_, run_, table.target));
        PN_CHECK(bookkeeping_.add_rejects(*connection_, run_, table.rejects));
        PN_CHECK(bookkeeping_.add_batch(*connection_, run_, table));
    }
    PN_FAILPOINT(target_commit_before);
    auto committed = connection_->execute("COMMIT");
    if (!committed) return fail(at_file(std::move(committed.error())));
    for (const auto& table : tables)
        log::debug("batch {} of {} is committed", ++known_batches_[table.target.name], table.target.name);
    if (stream_kept_) stream_.at = std::exchange(stream_kept_, std::nullopt), ++stream_batch_;
    return {};
}

void Sink::abort() noexcept {
    if (connection_) connection_->rollback();
}

}  // namespace penstock::duckdb
