#pragma once

#include <memory>
#include <string>

#include "connect/bigquery/client.h"
#include "connect/bigquery/types.h"
#include "flow/comparison.h"
#include "flow/purse.h"

namespace penstock::bigquery {

/// A column's canonical text (flow/comparison.h) in GoogleSQL; what BigQuery keeps in a form of its own has none, with the reason.
flow::ComparedColumn compared_column(const Column& column);

/// Tables as something to be compared, by query jobs: each is bounded and spends from the purse.
std::unique_ptr<flow::ComparedTarget> compare(std::unique_ptr<Client> client, const std::string& pipeline,
                                              std::shared_ptr<flow::Purse> purse);

}  // namespace penstock::bigquery
