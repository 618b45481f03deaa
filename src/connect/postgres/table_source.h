#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connect/postgres/increment.h"
#include "connect/postgres/ranges.h"
#include "connect/postgres/read_plan.h"
#include "connect/postgres/snapshot.h"
#include "flow/component.h"
#include "flow/ledger.h"
#include "flow/source.h"

namespace penstock::postgres {

/// What a table source works from; copied out of the configuration.
struct TableSourceOptions {
    ConnectionOptions connection;
    SourceOptions source;
    config::TypePolicies policies;
    data::Holds holds;
    unsigned parallel = 1;
    std::vector<std::string> key;  ///< of the target, to name refused rows; "" the primary key
    flow::ReadBounds bounds;
    std::vector<flow::RejectRecord> replay;  ///< read only these again; empty: read the tables
    std::string purpose;                     ///< application_name
};

/// How a table's increments are asked for.
IncrementRequest increment_request(const TableRead& read);
/// Another cursor, condition or query makes another sequence of rows: positions of the one say nothing about the other.
std::string sequence_of(const TableRead& read);

/// Tables, views and queries, whole or by cursor. One segment a table, all from one snapshot:
///
///     discover   catalog session: columns, types, keys
///     open       surroundings -> locks and snapshot (increment.h says why in this order)
///     next       one table: condition from its checkpoint -> ranges -> scan
class TableSource : public flow::Source {
  public:
    explicit TableSource(TableSourceOptions options) : options_(std::move(options)) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t table, const flow::Checkpoint& durable) override;

  private:
    Status check_bounds() const;
    Status check_whole(const TableRead& read) const;
    Status check_older_rows(const TableRead& read, const Increment& last, const std::string& condition);
    Result<std::vector<Range>> ranges_of(const TableRead& read, const std::string& condition);
    Result<std::string> condition(const TableRead& read, const std::optional<Increment>& last) const;
    Result<std::string> with_equal_rows(const TableRead& read, const Increment& last, const std::string& condition);
    Result<flow::Checkpoint> checkpoint(size_t table, const std::string& condition,
                                        const std::optional<Increment>& last, int64_t maximum);
    Result<std::string> cursor_text(const TableRead& read, const std::string& condition,
                                    const std::optional<Increment>& last, int64_t maximum);

    TableSourceOptions options_;
    std::stop_token stop_;
    std::unique_ptr<Session> catalog_;
    std::vector<TableRead> reads_;
    std::unique_ptr<Snapshot> snapshot_;
    Surroundings around_;
    std::vector<flow::TableRead> wanted_;
    size_t next_ = 0;
};

}  // namespace penstock::postgres
