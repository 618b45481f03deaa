#include "app/ledgers.h"

#include <algorithm>
#include <set>

#include "state/messages.h"
#include "state/target_ledger.h"

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

std::unique_ptr<flow::Ledger> open_trigger_ledger(const config::Document& document) {
    if (std::ranges::none_of(document.pipelines, [](const auto& one) { return one.trigger.has_value(); }))
        return nullptr;
    return std::make_unique<state::TargetLedger>(document.state.reveal(), document.state_directory,
                                                 state::trigger_connection);
}

}  // namespace penstock::app
