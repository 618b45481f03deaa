#pragma once

#include <memory>
#include <string>

#include "flow/purse.h"
#include "state/place.h"
#include "state/soci.h"

namespace penstock::state {

class Connection;

/// The tables `spending` and `bills`, for one run. A bill is opened before its job is begun, so a killed run leaves it open, and it
/// counts at its most until somebody settles it.
class RecordedSpending final : public flow::SpendingBook {
  public:
    RecordedSpending(Place place, flow::RunIdentity run);
    ~RecordedSpending() override;

    Result<flow::Charge> on_day(TimePoint at) override;
    Status open(const flow::Bill& bill) override;
    Status settle(const std::string& job, const flow::Charge& charged, bool ours) override;
    Status add(const flow::Charge& charged, TimePoint at) override;
    Result<std::vector<flow::Bill>> open_bills() override;

  private:
    Result<Connection*> connection();

    Place place_;
    flow::RunIdentity run_;
    std::unique_ptr<Connection> connection_;  ///< once it is needed
};

double usd_of(long long nano_usd);

/// Of a pipeline in the day of `at`.
flow::Charge spent_on_day(soci::session& sql, const std::string& pipeline, TimePoint at);
/// What no run of the history and no day that still counts needs.
void forget_spending(soci::session& sql, const std::string& pipeline, TimePoint at);
/// Columns bytes, nano_usd and slots of the run `r`.
extern const std::string spent_of_run;

}  // namespace penstock::state
