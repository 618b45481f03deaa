#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "config/spec.h"

namespace penstock::config {

struct Retries {
    int64_t max = 3;
    std::chrono::microseconds delay = std::chrono::seconds(5);
    double backoff = 2;
    bool jitter = true;
};

/// Connections and threads that read or write side by side; 0 is "as many as the machine and the table are good for".
struct Parallel {
    int64_t threads = 0;
    bool automatic() const { return threads == 0; }
};

enum class OnReject { stop, go_on };

/// How many rejected rows a run may have: a count, or a share of the rows read (0.001 is 0.1%). Unset: no bound.
struct RejectLimit {
    std::optional<int64_t> rows;
    std::optional<double> share;
};

enum class NumericForm { decimal, text, floating };

/// What a `numeric` without declared precision becomes.
struct NumericPolicy {
    NumericForm form = NumericForm::decimal;
    int precision = 38;
    int scale = 9;
    friend bool operator==(const NumericPolicy&, const NumericPolicy&) = default;
};

struct NumericPolicies {
    NumericPolicy otherwise;
    std::map<std::string, NumericPolicy> columns;  ///< by column name, or table.column

    /// The policy of a column: `table.column` before `column` before the general one.
    const NumericPolicy& of(const std::string& table, const std::string& column) const;
};

enum class SpecialNumbers { reject, null, text };
enum class SpecialDates { reject, null, clamp };
enum class ArrayNulls { reject, drop, json };
enum class WideJsonNumbers { reject, text, round };
enum class Ranges { reject, structure };

/// Values that the target's type cannot hold: see the type contract.
struct TypePolicies {
    NumericPolicies numeric;
    SpecialNumbers special_numbers = SpecialNumbers::reject;
    SpecialDates special_dates = SpecialDates::reject;
    ArrayNulls array_nulls = ArrayNulls::reject;
    WideJsonNumbers wide_json_numbers = WideJsonNumbers::reject;
    Ranges ranges = Ranges::reject;
};

enum class OnExceed { stop, defer };

/// What a run may be charged for by its target.
struct Budget {
    std::optional<Bytes> max_bytes_billed;
    std::optional<double> daily_usd;
    OnExceed on_exceed = OnExceed::stop;
};

/// What stands in `defaults` and, key by key, over it in a pipeline.
struct PipelineSettings : TypePolicies {
    Bytes memory{uint64_t{512} << 20};
    Parallel parallel;
    Retries retries;
    std::optional<OnReject> on_reject;  ///< unset: stop for tables, go_on for event streams
    RejectLimit max_rejects;
    int64_t keep_runs = 1000;  ///< of the pipeline's history
    std::optional<std::chrono::microseconds> statement_timeout;
    std::optional<std::chrono::microseconds> lock_timeout;
    Budget budget;
};

const Spec<Retries>& retries_spec();
const Spec<Budget>& budget_spec();
const Spec<PipelineSettings>& settings_spec();

/// "decimal(20,4)", "text", "double".
Result<NumericPolicy> parse_numeric_policy(std::string_view text);
std::string to_string(const NumericPolicy& policy);
/// "100" or "0.1%".
Result<RejectLimit> parse_reject_limit(std::string_view text);

}  // namespace penstock::config
