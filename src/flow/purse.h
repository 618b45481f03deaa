#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "flow/sink.h"

namespace penstock::flow {

/// What a system charges for something it did.
struct Charge {
    int64_t bytes_billed = 0;
    int64_t slot_millis = 0;
    double usd = 0;  ///< at the configured price

    Charge& operator+=(const Charge& other) {
        bytes_billed += other.bytes_billed;
        slot_millis += other.slot_millis;
        usd += other.usd;
        return *this;
    }
};

/// A job that is about to be begun at a system that charges for it.
struct Bill {
    std::string job;      ///< its id there: the same job is charged once, whoever asks for it
    std::string account;  ///< whom to ask what became of it, in the system's own words
    Charge most;          ///< what it is charged at most
    TimePoint opened{};
};

/// Keeps what the runs of a pipeline have spent, so that a killed one forgets nothing. One thread at a time.
class SpendingBook {
  public:
    virtual ~SpendingBook() = default;
    /// In the day of `at` (UTC), by all runs: what was charged, and of open bills the most that it can become.
    virtual Result<Charge> on_day(TimePoint at) = 0;
    /// Before its job is begun. An open bill of that job that another run has left stays as it is.
    virtual Status open(const Bill& bill) = 0;
    /// The job is over: what it was charged goes to the run and the day of its bill. A bill that is not open is settled
    /// already. Unless `ours`, another run has begun the job, and a bill that this one opened for it is void.
    virtual Status settle(const std::string& job, const Charge& charged, bool ours) = 0;
    /// What was charged without a bill.
    virtual Status add(const Charge& charged, TimePoint at) = 0;
    virtual Result<std::vector<Bill>> open_bills() = 0;
};

/// What a query is expected to be charged.
struct Wish {
    std::string what;  ///< for people: "commit the rows"
    int64_t bytes = 0;
    int64_t most_bytes = 0;  ///< that it may bill if nothing else bounds it
    double usd_per_byte = 0;
};

/// What a run is expected to be charged for a table that it reads or writes, for `plan`.
struct Expected {
    std::string table;             ///< of the target, or of the source where reading has a price
    std::optional<Charge> charge;  ///< nothing: not known before it runs
};

/// What one run may spend, all its attempts, its source and its target together. Nothing is begun that is not allowed, and nothing
/// is begun before it is on record. Any thread may call.
class Purse {
  public:
    struct Limits {
        std::optional<int64_t> run_bytes;
        std::optional<double> day_usd;
        bool defers = false;  ///< what a day has no money left for is put off, and no failure
    };

    Purse(RunIdentity run, Limits limits) : run_(std::move(run)), limits_(limits) {}

    const RunIdentity& run() const { return run_; }
    /// Where the record is; before the run begins.
    void keep_in(std::unique_ptr<SpendingBook> book) { book_ = std::move(book); }

    /// How many bytes the query may bill; an error where that is less than it is expected to.
    Result<int64_t> allow(const Wish& wish);
    /// Before anything is begun: what is sure to come behind the rest, such as questions to the target's tables after the commit.
    /// What is allowed from then on leaves room for it. An error where it is more than is left by itself.
    Status set_aside(const std::string& what, const Charge& charge);
    /// Its turn has come.
    void release();
    /// Now, whatever the bill says.
    Status open(Bill bill);
    /// What is said of a query that the system has refused to bill for more than it was allowed to.
    Error refused(Error error);
    /// As SpendingBook::settle(). A record that cannot be made is a warning: the bill stays open, and counts at its most.
    void settle(const std::string& job, const Charge& charged, bool ours);
    /// What is charged by other measures than queries' bytes: an error where the day has no money for it.
    Status allow_usd(const std::string& what, double usd);
    /// What was charged without a bill.
    void add(const Charge& charged);
    /// Bills that killed runs, or attempts of this one, have left.
    std::vector<Bill> open_bills();

    Charge spent() const;
    /// Of a plan: what a run would be charged.
    void expect(Expected expected);
    std::vector<Expected> expected() const;

    /// Once the day had no money left for something.
    std::optional<TimePoint> deferred_until() const;

  private:
    Status allow_on_day(const std::string& what, double usd, const std::string& size, double& left);
    Error deferred(const std::string& why, TimePoint at);
    Error over_day(const std::string& what, double usd, const std::string& size, const Charge& today, TimePoint at);
    void count(const Charge& charged);
    double own_on_day(TimePoint at) const { return at < own_day_ends_ ? own_today_ : 0; }
    void warn_of_day(TimePoint at, double just_charged);

    const RunIdentity run_;
    const Limits limits_;
    std::unique_ptr<SpendingBook> book_;
    mutable std::mutex mutex_;
    Charge spent_;
    Charge aside_;              ///< set_aside(), of all callers
    TimePoint own_day_ends_{};  ///< of `own_today_`: a run may go on for days
    double own_today_ = 0;
    std::vector<Expected> expected_;
    bool bounded_by_day_ = false;   ///< what was allowed last
    int64_t unrecorded_slots_ = 0;  ///< of what costs nothing else
    std::optional<TimePoint> deferred_until_;
};

/// The code of an error that puts a run off to the next day.
inline constexpr std::string_view budget_deferred = "budget_deferred";

/// 12.35, 0.25, 0.00006: cents from a dollar on, below it as small as it is.
std::string usd_text(double usd);

/// When the day of `at` ends (UTC).
TimePoint end_of_day(TimePoint at);

}  // namespace penstock::flow
