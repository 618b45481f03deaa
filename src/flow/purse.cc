#include "flow/purse.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/humane.h"
#include "base/log.h"

namespace penstock::flow {
namespace {

constexpr double alert_share = 0.8;

std::string bytes_text(int64_t bytes) { return humane_bytes(static_cast<uint64_t>(std::max<int64_t>(bytes, 0))); }

Error over_run(const Wish& wish, int64_t left) {
    return {.kind = ErrorKind::budget,
            .code = "budget_exceeded",
            .message = fmt::format("to {} would bill {}, and the pipeline's budget leaves {}", wish.what,
                                   bytes_text(wish.bytes), bytes_text(left)),
            .hint =
                "it was not begun and bills nothing; raise the bound, or have it read less: partition the target "
                "by a column of the key, cluster it by the key"};
}

}  // namespace

std::string usd_text(double usd) {
    if (usd >= 1) return fmt::format("{:.2f}", usd);
    std::string text = fmt::format("{:.6f}", usd);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

TimePoint end_of_day(TimePoint at) {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::floor<std::chrono::days>(at) +
                                                                   std::chrono::days(1));
}

Error Purse::deferred(const std::string& why, TimePoint at) {
    deferred_until_ = end_of_day(at);
    return {.kind = ErrorKind::budget,
            .code = std::string(budget_deferred),
            .message = fmt::format("deferred until {}: {}", iso_time(*deferred_until_), why),
            .hint = "it was not begun and costs nothing; the next run after that does what is left"};
}

/// A dry run may expect too little. What a whole day could not pay either is no matter of waiting.
Error Purse::refused(Error error) {
    std::lock_guard lock(mutex_);
    if (!bounded_by_day_ || !limits_.defers) return error;
    auto at = now();
    auto today = book_->on_day(at);
    if (!today || today->usd <= own_on_day(at)) return error;
    auto put_off = deferred(error.message, at);
    put_off.cause = std::make_shared<const Error>(std::move(error));
    return put_off;
}

/// What a day of its own could not pay either is no matter of waiting.
Error Purse::over_day(const std::string& what, double usd, const std::string& size, const Charge& today, TimePoint at) {
    auto until = end_of_day(at);
    bool defer = limits_.defers && usd + aside_.usd + own_on_day(at) <= *limits_.day_usd;
    std::string sentence =
        fmt::format("to {} would cost {} USD ({}), and pipeline {} has spent {} USD of the {} USD it may in a day",
                    what, usd_text(usd), size, run_.pipeline, usd_text(today.usd), usd_text(*limits_.day_usd));
    if (aside_.usd > 0)
        sentence += fmt::format("; {} USD are set aside for what comes behind it", usd_text(aside_.usd));
    if (defer) return deferred(sentence, at);
    return {.kind = ErrorKind::budget,
            .code = "daily_budget_exceeded",
            .message = fmt::format("{}, which ends at {}", sentence, iso_time(until)),
            .hint =
                "it was not begun and costs nothing; raise budget.daily_usd, run again on the next day, or have it "
                "read less: partition the target by a column of the key, cluster it by the key"};
}

Status Purse::allow_on_day(const std::string& what, double usd, const std::string& size, double& left) {
    auto at = now();
    PN_TRY(auto today, book_->on_day(at));
    left = std::max(*limits_.day_usd - today.usd - aside_.usd, 0.0);
    if (usd > left) return fail(over_day(what, usd, size, today, at));
    return {};
}

Result<int64_t> Purse::allow(const Wish& wish) {
    std::lock_guard lock(mutex_);
    int64_t most = wish.most_bytes;
    bounded_by_day_ = false;
    if (limits_.run_bytes) {
        int64_t left = *limits_.run_bytes - spent_.bytes_billed - aside_.bytes_billed;
        if (wish.bytes > left) return fail(over_run(wish, left));
        most = std::min(most, left);
    }
    if (limits_.day_usd && book_ != nullptr && wish.usd_per_byte > 0) {
        double left = 0;
        PN_CHECK(
            allow_on_day(wish.what, static_cast<double>(wish.bytes) * wish.usd_per_byte, bytes_text(wish.bytes), left));
        double bytes = std::floor(left / wish.usd_per_byte);
        bounded_by_day_ = bytes < static_cast<double>(most);
        if (bounded_by_day_) most = static_cast<int64_t>(bytes);
    }
    return std::max(most, wish.bytes);
}

Status Purse::set_aside(const std::string& what, const Charge& charge) {
    std::lock_guard lock(mutex_);
    if (limits_.run_bytes) {
        int64_t left = *limits_.run_bytes - spent_.bytes_billed - aside_.bytes_billed;
        if (charge.bytes_billed > left) return fail(over_run({.what = what, .bytes = charge.bytes_billed}, left));
    }
    if (limits_.day_usd && book_ != nullptr && charge.usd > 0) {
        double left = 0;
        PN_CHECK(allow_on_day(what, charge.usd, bytes_text(charge.bytes_billed), left));
    }
    aside_ += charge;
    return {};
}

void Purse::release() {
    std::lock_guard lock(mutex_);
    aside_ = {};
}

Status Purse::allow_usd(const std::string& what, double usd) {
    std::lock_guard lock(mutex_);
    double left = 0;
    if (!limits_.day_usd || book_ == nullptr) return {};
    return allow_on_day(what, usd, "by the gigabyte", left);
}

Status Purse::open(Bill bill) {
    std::lock_guard lock(mutex_);
    bill.opened = now();
    if (book_ == nullptr) return {};
    auto opened = book_->open(bill);
    if (opened || limits_.day_usd) return opened;
    log::warning("what {} costs is not on record: {}", bill.job, opened.error().message);
    return {};
}

void Purse::count(const Charge& charged) {
    auto at = now();
    own_today_ = own_on_day(at) + charged.usd;
    own_day_ends_ = end_of_day(at);
    spent_ += charged;
}

void Purse::settle(const std::string& job, const Charge& charged, bool ours) {
    std::lock_guard lock(mutex_);
    if (ours) count(charged);
    if (book_ == nullptr) return;
    Charge whole = charged;
    whole.slot_millis += ours ? std::exchange(unrecorded_slots_, 0) : 0;
    if (auto settled = book_->settle(job, whole, ours); !settled)
        log::warning("what {} cost is not on record, and counts at its most: {}", job, settled.error().message);
    else if (ours) warn_of_day(now(), charged.usd);
}

void Purse::add(const Charge& charged) {
    std::lock_guard lock(mutex_);
    count(charged);
    if (charged.usd == 0 && charged.bytes_billed == 0) {
        unrecorded_slots_ += charged.slot_millis;
        return;
    }
    if (book_ == nullptr) return;
    if (auto added = book_->add(charged, now()); !added)
        log::warning("{} USD are not on record: {}", usd_text(charged.usd), added.error().message);
    else warn_of_day(now(), charged.usd);
}

/// Said by the job that passes the mark.
void Purse::warn_of_day(TimePoint at, double just_charged) {
    if (!limits_.day_usd || just_charged <= 0) return;
    auto today = book_->on_day(at);
    double mark = alert_share * *limits_.day_usd;
    if (!today || today->usd < mark || today->usd - just_charged >= mark) return;
    log::warning("{} of the day's {} USD are spent ({:.0f}%); the day ends at {}", usd_text(today->usd),
                 usd_text(*limits_.day_usd), 100 * today->usd / *limits_.day_usd, iso_time(end_of_day(at)));
}

std::vector<Bill> Purse::open_bills() {
    std::lock_guard lock(mutex_);
    if (book_ == nullptr) return {};
    auto bills = book_->open_bills();
    if (bills) return std::move(*bills);
    log::warning("bills of former runs cannot be looked at: {}", bills.error().message);
    return {};
}

Charge Purse::spent() const {
    std::lock_guard lock(mutex_);
    return spent_;
}

void Purse::expect(Expected expected) {
    std::lock_guard lock(mutex_);
    expected_.push_back(std::move(expected));
}

std::vector<Expected> Purse::expected() const {
    std::lock_guard lock(mutex_);
    return expected_;
}

std::optional<TimePoint> Purse::deferred_until() const {
    std::lock_guard lock(mutex_);
    return deferred_until_;
}

}  // namespace penstock::flow
