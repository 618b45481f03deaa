#include "flow/attempt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/failpoint.h"
#include "base/humane.h"
#include "base/log.h"
#include "flow/guarded.h"
#include "flow/shared_stream.h"

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

Error no_table_to_read_anew(const std::string& name, const std::vector<TableTarget>& targets) {
    std::vector<std::string> known;
    for (const auto& target : targets) known.push_back(target.info.name);
    std::string nearest = nearest_name(name, known);
    return {.kind = ErrorKind::usage,
            .code = "no_such_table",
            .message = fmt::format("--resnapshot {}: no table of the pipeline has this name, or several have", name),
            .hint = nearest.empty() ? fmt::format("its tables are {}", fmt::join(known, ", "))
                                    : fmt::format("did you mean {}?", nearest)};
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
    if (shared_part() != nullptr) shared_sink(*sink_)->share();
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

Result<std::vector<Expected>> Attempt::price_checks() {
    std::vector<Expected> prices;
    if (!request_.price_checks || request_.purse == nullptr) return prices;
    auto* asked = sink_->checked();
    if (asked != nullptr && !asked->asked_after_commit()) asked = nullptr;
    for (const auto& target : targets_) {
        if (target.info.rejects_only) continue;
        PN_TRY(auto price, request_.price_checks(asked, target));
        if (price) prices.push_back(std::move(*price));
    }
    return prices;
}

/// What is asked after a commit must not be what the budget has no room for: the rows would be there, and unchecked.
Status Attempt::set_aside_for_checks() {
    if (!request_.price_checks || request_.purse == nullptr) return {};
    request_.purse->release();
    PN_TRY(auto prices, price_checks());
    for (const auto& price : prices)
        if (price.charge) PN_CHECK(request_.purse->set_aside("ask the " + price.table, *price.charge));
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
    PN_CHECK(mark_anew());
    return check_targets_differ(targets_);
}

/// What is read anew by hand is so once in a run.
Status Attempt::mark_anew() {
    for (const auto& name : request_.anew) {
        auto named = [&](const TableTarget& target) {
            const auto& full = target.info.name;
            return full == name || (full.ends_with(name) && full[full.size() - name.size() - 1] == '.');
        };
        if (std::ranges::count_if(targets_, named) != 1) return fail(no_table_to_read_anew(name, targets_));
        auto& target = *std::ranges::find_if(targets_, named);
        const auto* known = states_.find(target.info.name);
        target.whole = known == nullptr || !known->durable;
    }
    return {};
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
        bool anew = (targets_[i].whole || targets_[i].full_refresh) && !state(i).durable;
        reads.push_back(
            {.table = i, .from = std::move(from), .context = context(state(i)), .whole = whole, .anew = anew});
    }
    if (reads.empty()) return {};
    if (auto kept = sink_->stream()) PN_CHECK(source_->resume(std::move(kept->at)));
    if (auto* shared = shared_part()) shared->look_by([this] { return shared_sink(*sink_)->newest_stream(); });
    return source_->open(std::move(reads));
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
    Status status = guarded([&] { return write(segment, loaded); });
    if (!status) return give_up(loaded, std::move(status.error()));
    auto duration = std::chrono::steady_clock::now() - started;
    for (const auto& table : loaded) {
        state(table.target).result.duration += duration;
        if (table.last) end_table(state(table.target));
    }
    PN_CHECK(confirm(loaded, segment.stream));
    return check_committed(loaded);
}

Status Attempt::write(Segment& segment, std::vector<Loaded>& loaded) {
    PN_CHECK(load_segment(segment, loaded));
    PN_CHECK(check_accounts(loaded));
    if (sink_->checked() != nullptr && !sink_->checked()->asked_after_commit()) PN_CHECK(check_tables(loaded));
    if (auto* shared = shared_part(); shared != nullptr && segment.stream)
        PN_CHECK(shared_sink(*sink_)->share_stream(shared->merge()));
    else if (segment.stream) PN_CHECK(sink_->keep_stream(*segment.stream));
    PN_CHECK(keep_validations(true));
    return commit(loaded);
}

/// The unit is taken back. Where it was one table's fault, and the source can do without, the others go on.
Status Attempt::give_up(const std::vector<Loaded>& loaded, Error error) {
    sink_->abort();
    take_back(loaded);
    if (error.code == look_again) log::info("{}", error.message);
    record_alone(false);
    PN_TRY(bool aside, set_aside(error));
    if (!aside) return fail(std::move(error));
    return fail({.kind = ErrorKind::unavailable,
                 .code = look_again,
                 .message = "a table was set aside",
                 .cause = std::make_shared<const Error>(std::move(error))});
}

Result<bool> Attempt::set_aside(const Error& error) {
    bool fault_of_table = error.kind == ErrorKind::data || error.kind == ErrorKind::schema;
    if (!failed_ || !fault_of_table || stop_.stop_requested() || !sink_->stream()) return false;
    PN_TRY(auto stream, source_->set_aside(*failed_, error));
    if (!stream) return false;
    Segment segment;
    segment.stream = std::move(stream);
    std::vector<Loaded> nothing;
    failed_.reset();
    Status kept = guarded([&] { return write(segment, nothing); });
    if (kept) return true;
    sink_->abort();
    return fail(std::move(kept.error()));
}

Status Attempt::load_segment(Segment& segment, std::vector<Loaded>& loaded) {
    PN_CHECK(sink_->begin(request_.identity));
    for (auto& part : segment.parts) {
        auto known = std::ranges::find(loaded, part.table, &Loaded::target);
        if (known == loaded.end()) known = loaded.insert(loaded.end(), {.target = part.table});
        failed_ = part.table;
        PN_CHECK(name_table(guarded([&] { return load_part(part, *known); }), targets_[part.table].info.name));
    }
    failed_.reset();
    return {};
}

Status Attempt::load_part(Part& part, Loaded& loaded) {
    auto& target = targets_[part.table];
    target.whole = part.whole;
    auto& table = state(part.table);
    if (request_.observer != nullptr) request_.observer->table_started(target, table.progress);
    PN_FAILPOINT(target_stage_before);
    PN_TRY(Counts counts, target.info.rejects_only ? take_rejects(*part.scan, table)
                                                   : sink_->load(target, *part.scan, context(table)));
    PN_TRY(loaded.checkpoint, part.scan->finish());
    loaded.counts += counts;
    loaded.last = part.last;
    return {};
}

/// A part without rows: what is no reject was filtered.
Result<Counts> Attempt::take_rejects(Scan& scan, const TableState& table) {
    int64_t read = table.progress.rows_read, rejected = table.progress.rows_rejected;
    PN_TRY(auto reader, scan.reader());
    data::Block block(scan.schema());
    PN_CHECK(reader->fill(block));
    Counts counts;
    counts.rows_filtered = table.progress.rows_read - read - (table.progress.rows_rejected - rejected);
    return counts;
}

Status Attempt::check_accounts(std::vector<Loaded>& loaded) {
    for (auto& entry : loaded) {
        auto& table = state(entry.target);
        const auto& name = table.result.source;
        entry.counts = table.segment_counts(entry.counts);
        failed_ = entry.target;
        if (!entry.counts.balanced()) return fail(in_table(unbalanced(entry.counts), name));
        PN_CHECK(name_table(table.rejects.check_share(table.progress.rows_read), name));
    }
    failed_.reset();
    return {};
}

/// Every table is asked, so that one look says all that is amiss.
Status Attempt::check_tables(const std::vector<Loaded>& loaded) {
    Status first;
    for (const auto& entry : loaded) {
        const auto& target = targets_[entry.target];
        if (!request_.check_table || target.info.rejects_only) continue;
        Status asked = request_.check_table(*sink_->checked(), target);
        if (!asked && first) first = name_table(std::move(asked), target.info.name);
    }
    return first;
}

/// The rows are there whatever the checks say: the target shows none of them before.
Status Attempt::check_committed(const std::vector<Loaded>& loaded) {
    if (sink_->checked() == nullptr || !sink_->checked()->asked_after_commit()) return {};
    if (request_.purse != nullptr) request_.purse->release();
    Status asked = guarded([&] { return check_tables(loaded); });
    record_alone(true);
    return asked;
}

Status Attempt::keep_validations(bool published) {
    if (request_.validations == nullptr) return {};
    std::vector<ValidationRecord> records;
    for (auto& validation : request_.validations->take()) {
        const auto* table = states_.find(validation.table);
        if (table != nullptr) validation.target = table->result.target;
        records.push_back({.pipeline = request_.identity.pipeline,
                           .run_id = request_.identity.run_id,
                           .published = published,
                           .validation = std::move(validation)});
    }
    if (records.empty()) return {};
    Status kept = sink_->checked() == nullptr ? Status() : sink_->checked()->keep_validations(records);
    for (auto& record : records) {
        auto table = std::ranges::find(states_.all(), record.validation.table,
                                       [](const auto& one) { return one->result.source; });
        if (table != states_.all().end()) remember((*table)->result.validations, std::move(record));
    }
    return kept;
}

/// What checks said of rows that were taken back, or are there already, is kept in a commit of its own. The failure itself goes
/// first.
void Attempt::record_alone(bool published) {
    if (request_.validations == nullptr || request_.validations->empty()) return;
    if (sink_->checked() == nullptr || stop_.stop_requested()) {
        [[maybe_unused]] auto nowhere = keep_validations(published);
        return;
    }
    Status kept = guarded([&]() -> Status {
        PN_CHECK(sink_->begin(request_.identity));
        PN_CHECK(keep_validations(published));
        return sink_->commit({});
    });
    if (kept) return;
    sink_->abort();
    log::warning("what the checks found could not be recorded in the target: {}", kept.error().message);
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
    // A process that says no more than where it sits has got no further.
    if (!loaded.empty() || shared_part() == nullptr) progressed_ = true;
    for (const auto& entry : loaded) {
        state(entry.target).settle(entry.counts, entry.checkpoint, entry.last);
        targets_[entry.target].full_refresh = false;
        plans_[entry.target].checkpoint = entry.checkpoint;
    }
    unanswered_.clear();
    return {};
}

Status Attempt::confirm(const std::vector<Loaded>& loaded, const std::optional<Checkpoint>& stream) {
    PN_FAILPOINT(target_commit_after);
    for (const auto& entry : loaded) {
        PN_FAILPOINT(source_confirm_before);
        PN_CHECK(name_table(source_->confirm(entry.target, entry.checkpoint), targets_[entry.target].info.name));
    }
    return stream && sink_->stream() ? source_->confirm_stream(*stream) : Status();
}

SharedSource* Attempt::shared_part() {
    auto* shared = shared_source(*source_);
    return shared != nullptr && shared->is_shared() ? shared : nullptr;
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
