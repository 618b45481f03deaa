#pragma once

#include <chrono>
#include <vector>

#include "config/settings.h"

namespace penstock::config {

/// `notify`: which connections are told of what.
struct Notify {
    std::vector<Text> failure;
    std::vector<Text> recovery;
    std::vector<Text> sla;
    std::vector<Text> missed;
    std::vector<Text> budget;
    std::chrono::microseconds repeat = std::chrono::hours(1);

    bool any() const {
        return !failure.empty() || !recovery.empty() || !sla.empty() || !missed.empty() || !budget.empty();
    }
};

/// What stands in `defaults` and in pipelines and is no business of what reads and writes rows.
struct Notifying {
    Notify notify;
};

/// `defaults` as a whole.
struct Defaults : PipelineSettings, Notifying {};

const Spec<Notify>& notify_spec();
const Spec<Notifying>& notifying_spec();
const Spec<Defaults>& defaults_spec();

}  // namespace penstock::config
