#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "flow/sink.h"
#include "flow/source.h"

namespace penstock::flow {

// A source and a sink in memory, to simulate runs by the thousand: what survives a crash stands in MemoryDatabase and
// MemoryWarehouse, everything else goes with the source and sink objects. Only columns of int64 and text.

using MemoryValue = std::variant<std::monostate, int64_t, std::string>;

struct MemoryRow {
    std::vector<MemoryValue> values;
    bool unholdable = false;  ///< the reader rejects it
    bool malformed = false;   ///< the reader cannot even decode it

    bool operator==(const MemoryRow&) const = default;
    auto operator<=>(const MemoryRow&) const = default;
};

/// Misfortune by seed. Every contract call of the memory components asks first; any thread.
class MemoryFaults {
  public:
    struct Rates {
        double unavailable = 0;  ///< a failure worth retrying
        double refused = 0;      ///< a failure that is not
        double crash = 0;        ///< from here on everything fails until restart()
        double delay = 0;        ///< other threads go first
        double thrown = 0;       ///< an exception, as libraries throw them and as memory runs out
    };

    MemoryFaults() = default;
    MemoryFaults(uint64_t seed, Rates rates) : random_(seed), rates_(rates) {}

    Status at(std::string_view call);
    /// Besides the seeded ones: the `nth` time (1 is the first) that `call` is asked for, fail with the kind.
    void fail_at(std::string call, int64_t nth, ErrorKind kind);
    /// The same, by an exception.
    void throw_at(std::string call, int64_t nth);
    bool crashed() const;
    /// The process starts again.
    void restart();
    /// No more seeded faults.
    void calm();

  private:
    struct Planned {
        std::string call;
        int64_t left;
        std::optional<ErrorKind> kind;  ///< nothing: an exception
    };

    mutable std::mutex mutex_;
    std::mt19937_64 random_;
    Rates rates_ = {};
    std::vector<Planned> planned_;
    bool crashed_ = false;
};

/// A table that is only appended to; a row's place in it is its position.
struct MemoryTable {
    TableInfo info;
    std::vector<MemoryRow> rows;
};

/// What a MemorySource reads.
class MemoryDatabase {
  public:
    size_t add_table(TableInfo info);
    void append(size_t table, MemoryRow row);
    std::vector<MemoryTable> tables() const;
    /// The source's clock, never twice the same.
    TimePoint tick();

    std::function<void(const std::string& table, const Checkpoint&)> on_confirm;

  private:
    mutable std::mutex mutex_;
    std::vector<MemoryTable> tables_;
    int64_t ticks_ = 0;
};

struct MemorySourceOptions {
    bool stream = false;        ///< segments of several tables, in pieces, instead of one segment a table
    size_t segment_rows = 100;  ///< of one table in a stream's segment
    unsigned readers = 1;
    bool ignores_checkpoint = false;  ///< reads everything each time, as a source without a cursor does
};

class MemorySource : public Source {
  public:
    MemorySource(MemoryDatabase& database, MemorySourceOptions options, MemoryFaults& faults)
        : database_(database), options_(options), faults_(faults) {}

    Result<std::vector<TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<TableRead> tables) override;
    Result<std::optional<Segment>> next() override;
    Status confirm(size_t table, const Checkpoint& durable) override;

  private:
    struct Reading {
        TableRead read;
        size_t next;
        bool started = false;
    };

    bool has_more(const Reading& reading) const;
    Part make_part(Reading& reading);

    MemoryDatabase& database_;
    MemorySourceOptions options_;
    MemoryFaults& faults_;
    std::vector<MemoryTable> snapshot_;
    std::vector<Reading> readings_;
};

/// One committed table of a MemoryWarehouse.
struct MemoryCommit {
    std::string run_id;
    std::string target;
    Counts counts;
    Checkpoint checkpoint;
};

/// What a MemorySink writes to.
class MemoryWarehouse {
  public:
    struct Table {
        std::vector<MemoryRow> rows;
        std::optional<Checkpoint> checkpoint;
        std::vector<Reject> rejects;
    };

    Table table(const std::string& name) const;
    std::optional<Checkpoint> checkpoint(const std::string& table) const;
    std::vector<MemoryCommit> commits() const;
    /// Units of work that were begun and neither committed nor aborted.
    int units_open() const;

  private:
    friend class MemorySink;
    mutable std::mutex mutex_;
    std::map<std::string, Table> tables_;
    std::vector<MemoryCommit> commits_;
    int units_open_ = 0;
};

/// Append, replace and merge; of two rows with one key the one with the larger value in the cursor column stays, the
/// other counts as filtered.
class MemorySink : public Sink {
  public:
    MemorySink(MemoryWarehouse& warehouse, MemoryFaults& faults) : warehouse_(warehouse), faults_(faults) {}

    Result<std::vector<TablePlan>> plan(const std::vector<TableTarget>& tables, std::stop_token stop) override;
    Status begin(const RunIdentity& run) override;
    Result<Counts> load(const TableTarget& target, Scan& scan, const ScanContext& context) override;
    Status commit(std::span<const TableCommit> tables) override;
    void abort() noexcept override;

  private:
    MemoryWarehouse& warehouse_;
    MemoryFaults& faults_;
    void close_unit();

    std::string run_id_;
    bool in_unit_ = false;
    std::map<std::string, MemoryWarehouse::Table> staged_;
};

}  // namespace penstock::flow
