#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/type.h"
#include "flow/purse.h"

namespace penstock::flow {

/// What one check said of the rows it was asked about.
struct Validation {
    std::string table;        ///< source table
    std::string target;       ///< in the target
    std::string check;        ///< as its author calls it, else made from what it asks
    std::string expectation;  ///< as Great Expectations calls it
    std::string column;       ///< "" of a table, "a, b" of several
    std::string rows;         ///< which ones: "batch", "table"
    std::string severity;     ///< critical, warning, info
    std::string on_fail;      ///< stop, reject, warn
    bool success = false;
    std::string observed;  ///< JSON of what was found, "" where rows were counted
    int64_t element_count = 0;
    int64_t unexpected_count = 0;
    std::string unexpected_sample;  ///< a JSON list
    std::string kwargs;             ///< JSON, as it was evaluated
    std::string result;             ///< Great Expectations' `result` as JSON
    std::string compared = {};      ///< for people: what was found was held against this; "" nothing but its own bounds
    /// Of a check that finds one number: what makes it the same check in other runs. "" of others, and of rows that say nothing
    /// about other runs.
    std::string series = {};
    TimePoint evaluated_at{};
};

/// As it stands in the target.
struct ValidationRecord {
    std::string pipeline;
    std::string run_id;
    bool published = false;  ///< the rows it speaks of are in the target
    Validation validation;
};

/// Adds to what a run's checks have said: one entry a check, over all its segments.
void remember(std::vector<ValidationRecord>& known, ValidationRecord record);

/// The results of a run's checks. Any thread.
class ValidationLog {
  public:
    void add(Validation validation) {
        std::scoped_lock held(mutex_);
        held_.push_back(std::move(validation));
    }
    /// Of the segment under way.
    std::vector<Validation> take() {
        std::scoped_lock held(mutex_);
        return std::exchange(held_, {});
    }
    bool empty() const {
        std::scoped_lock held(mutex_);
        return held_.empty();
    }

  private:
    mutable std::mutex mutex_;
    std::vector<Validation> held_;
};

/// A small answer, all of it text or NULL.
using TextRows = std::vector<std::vector<std::optional<std::string>>>;

/// A table of the target that can be asked in the target's own SQL.
struct AskedTable {
    std::string dialect;  ///< which SQL
    std::string name;     ///< quoted
    data::Schema schema;  ///< as it is there
    std::function<Result<TextRows>(const std::string& sql)> ask;
    /// What asking so would be charged, itself for nothing; absent where asking is free.
    std::function<Result<Charge>(const std::string& sql)> price = {};
    /// Of rows on their way, which ones of the source: "everything", "increment" since a checkpoint, "narrowed" by hand. "" of a
    /// table.
    std::string reads = {};
};

/// What Sink::checked() gives: the target keeps what checks have said, and can be asked about its tables.
class CheckedTarget {
  public:
    virtual ~CheckedTarget() = default;
    /// Between the sink's begin and commit: the commit makes them durable with all else, also one of no table.
    virtual Status keep_validations(std::span<const ValidationRecord> records) = 0;
    /// The table by the target's name, as the commit will leave it, between load and commit; as it left it, of one that is asked
    /// after the commit. Nothing where it is not there.
    virtual Result<std::optional<AskedTable>> asked(const std::string& target) = 0;
    /// Between load and commit: takes away the rows of a table for which a condition in the target's SQL holds; the commit makes
    /// it durable with all else. How many; nothing of a target that cannot.
    virtual Result<std::optional<int64_t>> remove(const std::string&, const std::string&) {
        return std::optional<int64_t>();
    }
    /// What a commit brings cannot be seen before it.
    virtual bool asked_after_commit() const { return false; }
};

/// What Ledger::checked() gives, of such a target.
class CheckedLedger {
  public:
    virtual ~CheckedLedger() = default;
    /// Oldest first; "" is every pipeline, every run.
    virtual Result<std::vector<ValidationRecord>> validations(std::string_view pipeline, std::string_view run_id) = 0;
    virtual Status add_validations(std::span<const ValidationRecord> records) = 0;
    virtual Result<std::optional<AskedTable>> asked(const std::string& target) = 0;
};

/// Of: pipeline, run_id, table, target, check, expectation, column, rows, severity, on_fail, success, observed, element_count,
/// unexpected_count, unexpected_sample, kwargs, result, published, evaluated_at; truths as 0 and 1, times as microseconds.
template <class Rows>
ValidationRecord validation_of(const Rows& rows, size_t row) {
    Validation validation{.table = rows.text(row, 2),
                          .target = rows.text(row, 3),
                          .check = rows.text(row, 4),
                          .expectation = rows.text(row, 5),
                          .column = rows.text(row, 6),
                          .rows = rows.text(row, 7),
                          .severity = rows.text(row, 8),
                          .on_fail = rows.text(row, 9),
                          .success = rows.number(row, 10) != 0,
                          .observed = rows.text(row, 11),
                          .element_count = rows.number(row, 12),
                          .unexpected_count = rows.number(row, 13),
                          .unexpected_sample = rows.text(row, 14),
                          .kwargs = rows.text(row, 15),
                          .result = rows.text(row, 16),
                          .evaluated_at = TimePoint(std::chrono::microseconds(rows.number(row, 18)))};
    return {.pipeline = rows.text(row, 0),
            .run_id = rows.text(row, 1),
            .published = rows.number(row, 17) != 0,
            .validation = std::move(validation)};
}

}  // namespace penstock::flow
