#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/client.h"
#include "connect/bigquery/read_types.h"
#include "flow/purse.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// A named parameter of a query: @name.
struct Parameter {
    std::string name;
    std::string type;  ///< STRING, INT64, TIMESTAMP
    std::optional<std::string> value;
};

struct Query {
    std::string sql;
    std::string what;  ///< for people: "read the checkpoints"
    std::vector<Parameter> parameters = {};
    /// What the job's id is made from. A job of the same name is the same job, whoever began it; "" makes a new one each time.
    std::string name = {};
    /// Of a script, the statements that read data: a dry run knows what these cost, but not always what the script does.
    std::vector<std::string> parts = {};
    /// Names of tables and columns that were made moments ago, which BigQuery may not have heard of everywhere: an error that
    /// names one of them is waited out.
    std::vector<std::string> fresh = {};
};

/// What became of a job.
struct Done {
    std::string id;
    bool adopted = false;  ///< it was there already: its answer had been lost, or another run had begun it
    bool same = true;      ///< what it did is what was asked: always, unless adopted
    int64_t bytes_billed = 0;
    int64_t slot_millis = 0;
    int64_t affected_rows = 0;  ///< of a DML statement
    int64_t output_rows = 0;    ///< of a load
    TableId result = {};        ///< of a query: where its rows are, for a day
};

/// What a dry run tells of a query.
struct Described {
    int64_t bytes = 0;  ///< that it would bill
    std::vector<WireColumn> columns;
};

struct Rows {
    std::vector<std::vector<std::optional<std::string>>> rows;

    /// "" for NULL.
    const std::string& text(size_t row, size_t column) const;
    int64_t number(size_t row, size_t column) const;
};

/// Jobs of one run. Each has a deterministic id, labels, and a bound on what it may bill; none is begun that a dry run finds
/// to need more than is allowed. One thread.
class Jobs {
  public:
    /// All of them spend from `purse`; null where no run is under way.
    Jobs(Client& client, std::map<std::string, std::string> labels, std::shared_ptr<flow::Purse> purse = {})
        : client_(client), labels_(std::move(labels)), purse_(std::move(purse)) {}

    /// Bytes that the query would bill, by a dry run.
    Result<int64_t> estimate(const Query& query);
    /// The same, with what the rows would be.
    Result<Described> describe(const Query& query);
    /// To its end. A failure that may pass is tried again under another id.
    Result<Done> run(const Query& query);
    /// The rows of a SELECT; a small result. Timestamps are microseconds since 1970.
    Result<Rows> select(const Query& query);
    /// A Parquet file into a table that is there, appended. `name` as in Query.
    Result<Done> load(const TableId& into, const io::FileBody& file, const std::string& name);

    const flow::Spending& spent() const { return spent_; }

  private:
    struct Outcome;
    Result<int64_t> bound(const Query& query);
    Result<Json> dry_run(const Query& query);
    double usd_per_byte() const;
    std::string account() const;
    void settle_open_bills();
    void settle(const std::string& id, const Json& job, const flow::Charge& charged, bool adopted);
    Result<Outcome> insert_query(const Query& query, const std::string& id, int64_t most_bytes);
    Result<Outcome> finish(const std::string& id, Json job, bool adopted);
    Result<Json> get(const std::string& id);
    Json configuration_of(const Query& query) const;
    Json reference(const std::string& id) const;
    std::string path_of(const std::string& id, const std::string& rest = "") const;
    std::string id_of(const std::string& name, int attempt);

    Client& client_;
    std::map<std::string, std::string> labels_;
    std::shared_ptr<flow::Purse> purse_;
    bool looked_ = false;  ///< after the bills that killed runs have left
    flow::Spending spent_;
};

}  // namespace penstock::bigquery
