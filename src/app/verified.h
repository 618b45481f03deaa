#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flow/ledger.h"
#include "flow/sink.h"
#include "verify/comparison.h"

namespace penstock::app {

/// What `verify` has found of one table.
struct VerifiedTable {
    flow::TableTarget target;
    std::optional<flow::BatchRecord> batch;  ///< how far the target had got
    bool there = true;                       ///< the target has the table
    std::string moment;                      ///< of the source
    verify::Outcome outcome;
    int64_t rejected = 0;   ///< rows that differ and are known from the rejects
    int64_t undecided = 0;  ///< that were changed at every look
    int looks = 1;
    std::vector<data::Type> key_types;  ///< in the target, of target.key
    /// Which rows of the target the source has not, in the target's SQL; "" none.
    std::string extra_rows;
    bool gives_up_rows = false;                                     ///< a repair can take them away
    int64_t source_bytes = -1, target_bytes = -1;                   ///< of one look at all of it; -1 not known
    std::vector<std::pair<std::string, std::string>> not_compared;  ///< column, why

    /// In the columns that were compared.
    bool equal() const { return there && outcome.total() == 0 && undecided == 0; }
    /// All columns were.
    bool complete() const { return there && not_compared.empty(); }
};

/// In a line: "public.orders -> shop.orders: equal, 4 rows in 1 partitions".
std::string verdict(const VerifiedTable& table);
std::string verified_text(const std::vector<VerifiedTable>& tables, bool stream, int64_t most);
nlohmann::ordered_json verified_json(const VerifiedTable& table, int64_t most);

}  // namespace penstock::app
