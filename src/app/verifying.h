#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "app/pipeline.h"
#include "app/verified.h"
#include "state/store.h"

namespace penstock::app {

struct VerifyRequest {
    std::vector<std::string> tables;  ///< of the source; empty: all
    double fraction = 1;
    verify::Part part = {};
    int64_t sample_rows = -1;  ///< instead of a fraction; -1 no
    int64_t most_told = 100;
    /// A stream's target is compared as it is: the source has been brought to where it stands, and neither moves.
    bool as_it_stands = false;
};

/// Compares a pipeline's tables. A stream is drained first (or waited for, where another process follows it), and rows that
/// differ are looked at again until they are known to have stood still.
Result<std::vector<VerifiedTable>> verify_pipeline(const config::Document& document, Pipeline& pipeline,
                                                   const VerifyRequest& request, std::stop_token stop);

}  // namespace penstock::app
