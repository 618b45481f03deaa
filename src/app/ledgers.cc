#include "app/ledgers.h"

#include <set>

namespace penstock::app {

Result<std::vector<std::unique_ptr<flow::Ledger>>> open_ledgers(const std::vector<Pipeline>& pipelines) {
    std::vector<std::unique_ptr<flow::Ledger>> ledgers;
    std::set<std::string> opened;
    for (const auto& pipeline : pipelines) {
        if (!opened.insert(pipeline.target_connection()).second) continue;
        PN_TRY(auto ledger, pipeline.open_ledger());
        if (ledger != nullptr) ledgers.push_back(std::move(ledger));
    }
    return ledgers;
}

}  // namespace penstock::app
