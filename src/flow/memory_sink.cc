#include <algorithm>
#include <exception>
#include <map>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "flow/memory.h"

namespace penstock::flow {
namespace {

using data::Block;
using data::Column;
using data::Kind;
using data::StringRef;

MemoryValue take(const Column& column, size_t row) {
    if (!column.valid(row)) return {};
    if (column.type().kind == Kind::int64) return column.values<int64_t>()[row];
    return std::string(column.values<StringRef>()[row].view());
}

Status pull(Scan& scan, std::vector<MemoryRow>& rows, MemoryFaults& faults) {
    PN_TRY(auto reader, scan.reader());
    Block block(scan.schema());
    while (true) {
        block.clear();
        PN_CHECK(reader->fill(block));
        if (block.rows == 0) return {};
        for (size_t row = 0; row < block.rows; ++row) {
            auto& taken = rows.emplace_back();
            for (const auto& column : block.columns) taken.values.push_back(take(column, row));
        }
        PN_CHECK(faults.at("stage"));
    }
}

/// With as many threads as the scan has readers for. As an engine does, it carries an exception to the caller's thread.
Result<std::vector<MemoryRow>> pull_all(Scan& scan, MemoryFaults& faults) {
    unsigned threads = std::max(scan.max_readers(), 1U);
    std::vector<std::vector<MemoryRow>> pulled(threads);
    std::vector<Status> ends(threads);
    std::vector<std::exception_ptr> thrown(threads);
    auto pull_one = [&](unsigned i) {
        try {
            ends[i] = pull(scan, pulled[i], faults);
        } catch (...) {
            thrown[i] = std::current_exception();
        }
    };
    {
        std::vector<std::jthread> running;
        for (unsigned i = 1; i < threads; ++i) running.emplace_back(pull_one, i);
        pull_one(0);
    }
    std::vector<MemoryRow> rows;
    for (unsigned i = 0; i < threads; ++i) {
        if (thrown[i]) std::rethrow_exception(thrown[i]);
        PN_CHECK(std::move(ends[i]));
        std::ranges::move(pulled[i], std::back_inserter(rows));
    }
    return rows;
}

/// Puts the rows in by key; returns how many were older than what is there.
int64_t merge(std::vector<MemoryRow>& into, std::vector<MemoryRow> rows, const TableTarget& target) {
    std::vector<size_t> key_columns;
    for (const auto& column : target.key) key_columns.push_back(static_cast<size_t>(target.info.schema.find(column)));
    auto order_column = static_cast<size_t>(target.info.schema.find(target.info.cursor));
    auto key_of = [&](const MemoryRow& row) {
        std::vector<MemoryValue> key;
        for (size_t column : key_columns) key.push_back(row.values[column]);
        return key;
    };
    std::map<std::vector<MemoryValue>, size_t> places;
    for (size_t i = 0; i < into.size(); ++i) places[key_of(into[i])] = i;
    int64_t filtered = 0;
    for (auto& row : rows) {
        auto [place, fresh] = places.emplace(key_of(row), into.size());
        if (fresh) {
            into.push_back(std::move(row));
            continue;
        }
        auto& held = into[place->second];
        ++filtered;  // one of the two
        if (held.values[order_column] < row.values[order_column]) held = std::move(row);
    }
    return filtered;
}

Error moved_back(const std::string& table) {
    return {.kind = ErrorKind::internal,
            .code = "checkpoint_moved_back",
            .message = "checkpoint of " + table + " moved back"};
}

}  // namespace

MemoryWarehouse::Table MemoryWarehouse::table(const std::string& name) const {
    std::scoped_lock lock(mutex_);
    auto found = tables_.find(name);
    return found == tables_.end() ? Table() : found->second;
}

std::optional<Checkpoint> MemoryWarehouse::checkpoint(const std::string& table) const {
    std::scoped_lock lock(mutex_);
    auto found = tables_.find(table);
    return found == tables_.end() ? std::nullopt : found->second.checkpoint;
}

std::vector<MemoryCommit> MemoryWarehouse::commits() const {
    std::scoped_lock lock(mutex_);
    return commits_;
}

int MemoryWarehouse::units_open() const {
    std::scoped_lock lock(mutex_);
    return units_open_;
}

Result<std::vector<TablePlan>> MemorySink::plan(const std::vector<TableTarget>& tables, std::stop_token) {
    PN_CHECK(faults_.at("plan"));
    std::scoped_lock lock(warehouse_.mutex_);
    std::vector<TablePlan> plans;
    for (const auto& target : tables) {
        auto found = warehouse_.tables_.find(target.name);
        bool exists = found != warehouse_.tables_.end();
        plans.push_back({.checkpoint = exists ? found->second.checkpoint : std::nullopt, .exists = exists});
    }
    return plans;
}

Status MemorySink::begin(const RunIdentity& run) {
    PN_CHECK(faults_.at("begin"));
    PN_ASSERT(staged_.empty());  // the runner committed or aborted what was before
    run_id_ = run.run_id;
    std::scoped_lock lock(warehouse_.mutex_);
    in_unit_ = true;
    ++warehouse_.units_open_;
    return {};
}

Result<Counts> MemorySink::load(const TableTarget& target, Scan& scan, const ScanContext&) {
    PN_CHECK(faults_.at("load"));
    PN_TRY(auto rows, pull_all(scan, faults_));
    auto read = static_cast<int64_t>(rows.size());
    auto [place, fresh] = staged_.try_emplace(target.name);
    auto& staged = place->second;
    if (fresh && target.mode != Mode::replace && !target.full_refresh) staged = warehouse_.table(target.name);
    int64_t filtered = 0;
    if (target.mode == Mode::merge) {
        filtered = merge(staged.rows, std::move(rows), target);
    } else {
        std::ranges::move(rows, std::back_inserter(staged.rows));
    }
    PN_CHECK(faults_.at("load_after"));
    return Counts{.rows_written = read - filtered, .rows_filtered = filtered, .bytes_written = 8 * read};
}

Status MemorySink::commit(std::span<const TableCommit> tables) {
    PN_CHECK(faults_.at("commit_before"));
    std::scoped_lock lock(warehouse_.mutex_);
    for (const auto& commit : tables) {
        auto& staged = staged_[commit.target.name];
        if (staged.checkpoint && std::stoul(commit.checkpoint.position) < std::stoul(staged.checkpoint->position))
            return fail(moved_back(commit.target.name));
        PN_CHECK(commit.rejects.for_each([&](const Reject& reject) -> Status {
            staged.rejects.push_back(reject);
            return {};
        }));
        staged.checkpoint = commit.checkpoint;
    }
    for (auto& [name, staged] : staged_) warehouse_.tables_[name] = std::move(staged);
    for (const auto& commit : tables)
        warehouse_.commits_.push_back({run_id_, commit.target.name, commit.counts, commit.checkpoint});
    close_unit();
    return faults_.at("commit_after");  // durable, but nobody is told
}

void MemorySink::abort() noexcept {
    std::scoped_lock lock(warehouse_.mutex_);
    close_unit();
}

/// The caller holds the warehouse.
void MemorySink::close_unit() {
    staged_.clear();
    if (std::exchange(in_unit_, false)) --warehouse_.units_open_;
}

}  // namespace penstock::flow
