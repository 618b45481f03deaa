// Parts of changes: what could be coalesced on this machine is loaded, and meets the target's rows in the commit's transaction.
#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "connect/bigquery/change_stage.h"
#include "connect/bigquery/ledger.h"
#include "connect/bigquery/own_columns.h"
#include "connect/bigquery/sink.h"

namespace penstock::bigquery {
namespace {

/// Whether deleted rows have a column, if only from former times.
bool has_marks(const flow::TableTarget& target, const TargetTable& found) {
    return std::ranges::any_of(own_columns(target), [](const auto& c) { return c.name == flow::change::deleted; }) ||
           found.find(flow::change::deleted) != nullptr;
}

Error second_part(const flow::TableTarget& target) {
    return {.kind = ErrorKind::internal,
            .code = "second_part",
            .message = fmt::format("changes of {} came in two parts for one commit", target.info.name),
            .hint = "this is a fault of penstock: please report it with the run's log"};
}

}  // namespace

/// The part's numbers of keys that the target has not.
Result<std::vector<int64_t>> Sink::ask_for_rows(const StagedLoad& load, const StagedFiles& keys) {
    TableId asked = load.staging;
    asked.table += "_asked";
    PN_CHECK(load_files(keys, asked, asked.dotted()));
    PN_TRY(auto rows, jobs_->select({.sql = missing_rows_sql(load, asked),
                                     .what = fmt::format("look for rows in {}", load.into.dotted()),
                                     .fresh = fresh()}));
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < rows.rows.size(); ++i) numbers.push_back(rows.number(i, 0));
    return numbers;
}

/// The last of `waiting_` is the load's.
Result<flow::Counts> Sink::load_changes(const flow::TableTarget& target, flow::Scan& scan,
                                        const flow::ScanContext& context, const TargetTable& found, bool made) {
    auto& waiting = waiting_.back();
    if (std::ranges::count(waiting_, target.name, &Waiting::target) > 1) return fail(second_part(target));
    std::string suffix = fmt::format("{}_{}_{}", run_.run_id, unit_, waiting_.size());
    PN_TRY(auto load, staged_load(target, found, waiting.shape, settings_.policies, suffix));
    load.into_empty = made;  // what metadata says of how many rows there are may be old
    load.label = label_value(settings_.pipeline);
    PN_CHECK(waiting.shape.names_of(target.info.key));
    ChangeSet changes{.snapshot = target.whole || scan.schema().find(flow::change::unchanged) < 0,
                      .keyed = !target.info.key.empty(),
                      .marks = has_marks(target, found),
                      .synced = fmt::format("TIMESTAMP_MICROS({})", load.began.time_since_epoch().count())};
    ChangeStage local(*stage_, *engine_, load, context);
    flow::Counts counts;
    StagedFiles staged;
    if (changes.snapshot) {
        PN_TRY(staged, local.write_snapshot(scan, changes));
        counts.rows_read = staged.rows_read;
        counts.rows_written = staged.taken();
    } else {
        auto ask = [&](const StagedFiles& keys) { return ask_for_rows(load, keys); };
        PN_TRY(staged, local.write(*database_, scan, changes, counts, ask));
    }
    load.marks_rejects = staged.marks_rejects;
    counts.bytes_written = staged.bytes;
    changes.staged = staged.taken() > 0 || (target.whole && !rebuilds(target));
    if (changes.staged) {
        PN_CHECK(divide(staged, found, load));
        PN_CHECK(load_files(staged, load.staging, load.staging.dotted()));
    }
    stage_->clear();
    if (auto resolving = changes.staged ? resolve_changes_sql(load, changes) : std::nullopt) {
        PN_TRY(int64_t inserted, resolve(load, *resolving, " WHERE NOT _penstock_in_target"));
        int64_t staged_inserts = staged.taken() - (target.whole ? 0 : counts.rows_deleted);
        counts.rows_written -= staged_inserts - inserted;
        counts.rows_filtered += staged_inserts - inserted;
    }
    waiting.statements = apply_changes_sql(load, changes);
    PN_FAILPOINT(target_stage_after);
    return counts;
}

Status Sink::keep_stream(const flow::Checkpoint& at) {
    stream_kept_ = at;
    return {};
}

}  // namespace penstock::bigquery
