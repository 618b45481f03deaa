#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "flow/comparison.h"
#include "verify/dialect.h"

namespace penstock::verify {

enum class DifferenceKind { missing, extra, changed };
std::string_view to_string(DifferenceKind kind);

/// What a column holds on either side; nothing: NULL, or no such row.
struct ColumnDifference {
    std::string column;
    std::optional<std::string> source, target;
};

/// A row that is not the same on both sides.
struct Difference {
    DifferenceKind kind = DifferenceKind::changed;
    /// Column and value; of a table without key all columns.
    std::vector<std::pair<std::string, std::optional<std::string>>> key;
    std::vector<ColumnDifference> columns;  ///< of a changed row those that differ
    std::string framed;                     ///< the key as the engines write it, by which a row is known
    int64_t bucket = 0;
    std::set<int64_t> source, target;  ///< the hashes of its rows, by which a row is known to be as it was
};

/// One of so many parts of all keys, by their hash: a key is in the same part always, however many there are.
struct Part {
    int64_t number = 1;  ///< 1 to `of`
    int64_t of = 1;

    bool all() const { return of == 1; }
    bool operator==(const Part&) const = default;
};

struct Request {
    std::vector<std::string> key;  ///< empty: rows are told apart by all their values
    /// Rows of the target that the source has not, or not so any more, are what was read earlier, and no difference.
    bool earlier_versions = false;
    /// Keys, as the engines frame them, of rows that are known not to be in the target, or not so: they are no differences.
    std::set<std::string> set_aside = {};
    double fraction = 1;         ///< of the keys, chosen by their hash: the same on both sides
    Part part = {};              ///< of that
    int64_t most_told = 100;     ///< differences whose values are looked up
    int64_t most_kept = 10'000;  ///< differences that are known by their key; all are counted
};

/// What one side did.
struct Effort {
    int64_t rows = 0;
    int64_t queries = 0;
    int64_t scans = 0;         ///< looks at the whole table
    int64_t answer_bytes = 0;  ///< that came from the engine
    double seconds = 0;
};

struct Outcome {
    std::vector<std::string> columns;  ///< compared
    int64_t partitions = 0;
    int64_t differing_partitions = 0;
    Effort source, target;
    int64_t newer = 0;      ///< rows that no run has read yet, as the source says; they are no differences
    int64_t set_aside = 0;  ///< rows of Request::set_aside that differ
    int64_t earlier = 0;    ///< rows of the target that are what was read earlier
    std::map<DifferenceKind, int64_t> counts;
    bool counted_all = true;              ///< else there are more differences than were counted
    std::vector<Difference> differences;  ///< at most Request::most_kept

    int64_t total() const;
};

/// Compares one table: per partition of its keys a count and a sum of the rows' hashes, made by each engine; where these differ the
/// keys and hashes of the rows; where those differ their values. Columns of the two sides stand in pairs, in the same order.
class Comparison {
  public:
    Comparison(const flow::ComparedTable& source, const flow::ComparedTable& target, Request request);

    Result<Outcome> run();
    /// The same for these rows alone, as the sides are now.
    Result<Outcome> again(const std::vector<Difference>& rows);
    /// Which rows of the target are extra among these, as they were: a condition in its SQL; "" none.
    std::string extra_rows(const std::vector<Difference>& rows) const;

  private:
    /// One side with the expressions that it is asked for.
    struct Side {
        const flow::ComparedTable& table;
        const Dialect& sql;
        Effort& effort;
        bool is_source;
        std::vector<const flow::ComparedColumn*> columns = {}, key = {};
        std::string hash = {}, framed_key = {}, bucket = {};

        /// Of the rows that count those for which this holds too; "" all.
        std::string where(const std::string& condition) const;
        /// FROM … WHERE …
        std::string from(const std::string& condition) const;
        Result<flow::TextRows> ask(const std::string& sql) const;
    };
    struct Seen {
        std::multiset<int64_t> hashes;
        bool newer = false;
    };
    /// What both sides have of some rows, by their key.
    using Rows = std::map<std::string, std::pair<Seen, Seen>>;

    void prepare(Side& side) const;
    void divide(Side& side) const;
    Status count();
    Status count_newer();
    Result<std::map<int64_t, std::pair<int64_t, std::string>>> sums(const Side& side) const;
    Result<std::vector<int64_t>> differing_buckets();
    /// Rows of these partitions, or of these keys.
    Status look_into(const std::vector<int64_t>& buckets, const std::set<std::string>& keys);
    Status read_rows(const Side& side, const std::vector<int64_t>& buckets, const std::set<std::string>& keys,
                     Rows& into, std::map<std::string, int64_t>& bucket_of) const;
    void judge(const std::string& key, int64_t bucket, const Seen& source, const Seen& target);
    Status tell_values();
    Status tell_values(const Side& side, std::map<std::string, std::vector<std::optional<std::string>>>& into);
    std::span<Difference> told();

    Request request_;
    Outcome out_;
    Side source_, target_;
    int64_t partitions_ = 1;
    std::string sampled_;                 ///< condition on pn_bucket; "" all
    std::map<int64_t, int64_t> rows_in_;  ///< of the larger side, by bucket
};

}  // namespace penstock::verify
