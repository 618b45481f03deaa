#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "flow/memory.h"
#include "flow/runner.h"

// Thousands of small worlds, each from one seed: random tables, modes, rows, readers, and at every contract call a failure,
// a lost answer or the process's death; run, restart and retry at random, and look after every run at what must hold.
// PENSTOCK_SIMULATION_SEED=n repeats one, PENSTOCK_SIMULATION_SEEDS=n sets how many there are.

namespace penstock::flow {
namespace {

data::Schema schema() {
    return {{{.name = "id", .type = data::scalar(data::Kind::int64)},
             {.name = "version", .type = data::scalar(data::Kind::int64)},
             {.name = "text", .type = data::scalar(data::Kind::text)}}};
}

/// Adds rows while a run is on, and stops some of them.
class Meddler : public RunObserver {
  public:
    std::function<void()> meddle;
    void tables_planned(const std::vector<TableTarget>&, const std::vector<TablePlan>&) override { meddle(); }
    void table_started(const TableTarget& target, const Progress& progress) override {
        shown_[target.name] = &progress;
        meddle();
    }
    void table_ended(const TableResult&) override { meddle(); }
    void retrying(const Error&, std::chrono::microseconds, int, int) override { meddle(); }
    void run_ended() override {
        rows_shown = 0;
        for (const auto& [name, progress] : shown_) rows_shown += progress->rows_read;
        shown_.clear();
    }

    int64_t rows_shown = 0;  ///< by the progress of all tables, when the run had ended

  private:
    std::map<std::string, const Progress*> shown_;
};

/// Only what was done to a run may fail it, never a fault of its own such as rows unaccounted for.
const std::set<std::string> misfortunes = {"fault", "interrupted", "out_of_memory", "unexpected_exception"};

class World {
  public:
    explicit World(uint64_t seed) : random_(seed), faults_(seed, rates()) {
        options_ = {.stream = chance(0.3),
                    .segment_rows = static_cast<size_t>(between(1, 40)),
                    .readers = static_cast<unsigned>(between(1, 10) > 7 ? 3 : 1),
                    .ignores_checkpoint = false};
        if (!options_.stream) options_.ignores_checkpoint = chance(0.15);
        auto tables = static_cast<size_t>(between(1, 4));
        for (size_t i = 0; i < tables; ++i) {
            database_.add_table(
                {.name = fmt::format("s.t{}", i), .schema = schema(), .key = {"id"}, .cursor = "version"});
            // A stream never rebuilds a table; what ignores its checkpoint would append everything again and again.
            modes_.push_back(options_.stream ? (chance(0.5) ? Mode::append : Mode::merge)
                                             : static_cast<Mode>(between(0, 2)));
        }
        database_.on_confirm = [this](const std::string& table, const Checkpoint& durable) {
            confirmed(table, durable);
        };
        meddler_.meddle = [this] {
            if (chance(0.2)) append_rows(5);
            if (!calm_ && chance(0.02)) stop_.request_stop();
        };
    }

    void live() {
        for (int round = 0, rounds = between(1, 5); round < rounds; ++round) {
            append_rows(60);
            check_run(run_once(chance(0.05)));
        }
        calm_ = true;
        faults_.calm();
        auto last = run_once(false);
        REQUIRE_MESSAGE(last.status == RunStatus::success, (last.error ? last.error->text() : ""));
        check_run(last);
        auto tables = database_.tables();
        for (size_t i = 0; i < tables.size(); ++i) check_table(i, tables[i]);
    }

  private:
    int between(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
    bool chance(double share) { return std::uniform_real_distribution<double>(0, 1)(random_) < share; }

    MemoryFaults::Rates rates() {
        double strength = chance(0.2) ? 0 : std::uniform_real_distribution<double>(0, 0.08)(random_);
        return {.unavailable = strength,
                .refused = strength / 10,
                .crash = strength / 4,
                .delay = 0.2,
                .thrown = strength / 4};
    }

    void append_rows(int most) {
        for (size_t table = 0; table < modes_.size(); ++table)
            for (int i = 0, rows = between(0, most); i < rows; ++i) {
                MemoryRow row{.values = {int64_t{between(0, 30)}, ++version_, MemoryValue()}};
                if (chance(0.9)) row.values[2] = std::string(static_cast<size_t>(between(0, 30)), 'x');
                row.unholdable = chance(0.1);
                database_.append(table, std::move(row));
            }
    }

    RunRequest request(bool full_refresh) {
        RunRequest request;
        request.identity = {.pipeline = "p", .run_id = fmt::format("run_{}", ++runs_)};
        request.make_source = [this]() -> Result<std::unique_ptr<Source>> {
            PN_CHECK(faults_.at("make_source"));
            return std::make_unique<MemorySource>(database_, options_, faults_);
        };
        request.make_sink = [this]() -> Result<std::unique_ptr<Sink>> {
            PN_CHECK(faults_.at("make_sink"));
            return std::make_unique<MemorySink>(warehouse_, faults_);
        };
        request.target_for = [this, full_refresh](size_t index, const TableInfo& info) -> Result<TableTarget> {
            return TableTarget{.info = info,
                               .name = fmt::format("t{}", index),
                               .mode = modes_[index],
                               .key = info.key,
                               .full_refresh = full_refresh && !options_.stream};
        };
        request.rejects = {.stop = false};
        request.retries = {.max = between(0, 4), .delay = std::chrono::microseconds(0)};
        request.observer = &meddler_;
        return request;
    }

    RunResult run_once(bool full_refresh) {
        stop_ = std::stop_source();
        auto result = run(request(full_refresh), stop_.get_token());
        faults_.restart();
        CHECK(warehouse_.units_open() == 0);
        CHECK(meddler_.rows_shown == result.counts().rows_read);
        return result;
    }

    /// I1 nothing is confirmed before it is durable.
    void confirmed(const std::string& table, const Checkpoint& durable) {
        auto held = warehouse_.checkpoint(table.substr(2));
        REQUIRE(held.has_value());
        CHECK(std::stoul(durable.position) <= std::stoul(held->position));
    }

    void check_run(const RunResult& result) {
        std::map<std::string, Counts> committed;
        std::map<std::string, int> times;
        for (const auto& commit : warehouse_.commits()) {
            if (commit.run_id != result.identity.run_id) continue;
            CHECK(commit.counts.balanced());
            committed[commit.target] += commit.counts;
            // A batch commits a table once in a run, whatever fails and is retried.
            if (!options_.stream) CHECK(++times[commit.target] == 1);
        }
        bool done = result.status == RunStatus::success;
        CHECK(done != result.error.has_value());
        if (!done) CHECK_MESSAGE(misfortunes.contains(result.error->code), result.error->text());
        if (done) CHECK(result.tables.size() == modes_.size());
        for (const auto& table : result.tables) {
            CHECK(table.counts.balanced());
            const auto& truth = committed[table.target];
            // Where the last answer was lost for good more may be durable than the run knows of, never less.
            CHECK(table.counts.rows_read <= truth.rows_read);
            if (done) {
                CHECK(table.counts.rows_read == truth.rows_read);
                CHECK(table.counts.rows_written == truth.rows_written);
                CHECK(table.counts.rows_rejected == truth.rows_rejected);
                CHECK(table.counts.rows_filtered == truth.rows_filtered);
            }
        }
    }

    void check_table(size_t index, const MemoryTable& source) {
        auto target = warehouse_.table(fmt::format("t{}", index));
        std::vector<MemoryRow> expected;
        std::map<MemoryValue, MemoryRow> newest;
        size_t unholdable = 0;
        // What was appended while the last run was on may be ahead of it.
        size_t end = std::stoul(target.checkpoint->position);
        CHECK(end <= source.rows.size());
        for (size_t i = 0; i < end; ++i) {
            const auto& row = source.rows[i];
            unholdable += row.unholdable;
            if (row.unholdable) continue;
            expected.push_back(row);
            newest[row.values[0]] = row;
        }
        if (modes_[index] == Mode::merge) {
            expected.clear();
            for (const auto& [key, row] : newest) expected.push_back(row);
        }
        std::ranges::sort(target.rows);
        std::ranges::sort(expected);
        if (options_.ignores_checkpoint && modes_[index] == Mode::append) {
            // Appends everything with each run: at least the last one's rows, and each commit's exactly once.
            int64_t written = 0;
            for (const auto& commit : warehouse_.commits())
                if (commit.target == fmt::format("t{}", index)) written += commit.counts.rows_written;
            CHECK(static_cast<int64_t>(target.rows.size()) <= written);
            CHECK(std::ranges::includes(target.rows, expected));
        } else {
            CHECK(target.rows == expected);
            if (!options_.ignores_checkpoint || modes_[index] == Mode::replace) check_rejects(target, unholdable);
        }
    }

    /// Each rejected row stands in the target once.
    void check_rejects(const MemoryWarehouse::Table& target, size_t unholdable) {
        std::set<std::string> positions;
        for (const auto& reject : target.rejects) positions.insert(reject.source_position);
        CHECK(positions.size() == unholdable);
        CHECK(target.rejects.size() == unholdable);
    }

    std::mt19937_64 random_;
    MemoryFaults faults_;
    MemorySourceOptions options_;
    MemoryDatabase database_;
    MemoryWarehouse warehouse_;
    std::vector<Mode> modes_;
    Meddler meddler_;
    std::stop_source stop_;
    int64_t version_ = 0;
    int runs_ = 0;
    bool calm_ = false;
};

uint64_t number(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("whatever fails, the target ends as the source and every row is accounted for") {
    uint64_t first = number("PENSTOCK_SIMULATION_SEED", 1);
    bool one = std::getenv("PENSTOCK_SIMULATION_SEED") != nullptr;
    uint64_t seeds = one ? 1 : number("PENSTOCK_SIMULATION_SEEDS", 3'000);
    for (uint64_t seed = first; seed < first + seeds; ++seed) {
        INFO("repeat with PENSTOCK_SIMULATION_SEED=" << seed);
        World(seed).live();
    }
}

}  // namespace penstock::flow
