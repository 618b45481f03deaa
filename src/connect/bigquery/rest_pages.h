#pragma once

#include <string>
#include <vector>

#include "connect/bigquery/client.h"
#include "connect/bigquery/read_feed.h"
#include "connect/bigquery/read_types.h"

namespace arrow {
class Schema;
}

namespace penstock::bigquery {

/// The rows of a table that nobody changes (a query's result) by tabledata.list, as Arrow like those of Storage Read.
class RestPages : public BatchFeed {
  public:
    RestPages(Client& client, TableId table, std::vector<WireColumn> columns);

    Result<std::shared_ptr<arrow::RecordBatch>> next() override;

  private:
    Result<std::shared_ptr<arrow::RecordBatch>> batch_of(const Json& page) const;

    Client& client_;
    TableId table_;
    std::vector<WireColumn> columns_;
    std::shared_ptr<arrow::Schema> schema_;
    std::string page_;
    bool ended_ = false;
};

}  // namespace penstock::bigquery
