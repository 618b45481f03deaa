#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "config/node.h"
#include "config/values.h"

namespace penstock::config {

/// What becomes of a run whose check fails.
enum class OnFail { stop, reject, warn };
enum class Severity { critical, warning, info };
/// Whose rows a check is about.
enum class CheckedRows { batch, table };

std::string_view to_string(OnFail on_fail);
std::string_view to_string(Severity severity);

/// What every check may say beside what it asks.
struct CheckManner {
    Text name;
    std::optional<double> mostly;
    std::optional<OnFail> on_fail;
    std::optional<Severity> severity;
    std::optional<CheckedRows> rows;
};

struct AcceptedValuesCheck : CheckManner {
    Text column;
    std::vector<Node> values;
};

struct RegexCheck : CheckManner {
    Text column;
    Text pattern;
};

/// `between` and `length`.
struct RangeCheck : CheckManner {
    Text column;
    Node min;
    Node max;
};

/// One value of another table, or of a query, that a check compares with.
struct OtherTable {
    Text connection;  ///< "" the target's
    Text table;
    Text where;
    Text query;
};

struct RowCountCheck : CheckManner {
    std::optional<int64_t> min;
    std::optional<int64_t> max;
    std::optional<int64_t> last;  ///< so many runs before are compared with
    std::optional<OtherTable> same_as;
    Text within;  ///< "50%" or a number, of what is compared with
};

struct FreshnessCheck : CheckManner {
    Text column;
    std::chrono::microseconds max_age{0};
};

/// One entry of `checks`. Exactly one of the checks is given.
struct Check : CheckManner {
    std::vector<Text> not_null;
    std::vector<Text> unique;
    std::optional<AcceptedValuesCheck> accepted_values;
    std::optional<RegexCheck> regex;
    std::optional<RangeCheck> between;
    std::optional<RangeCheck> length;
    std::optional<RowCountCheck> row_count;
    std::optional<FreshnessCheck> freshness;
    Text condition;
    Text sql;
    Node expect;
    FilePath suite;
    std::vector<Text> tables;  ///< of which tables; all where none is named
};

template <class T>
class Spec;

const Spec<Check>& check_spec();

}  // namespace penstock::config
