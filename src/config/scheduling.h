#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/notify.h"
#include "config/pipeline.h"
#include "config/times.h"

namespace penstock::config {

/// One entry of `wait_for`: what must be there before a scheduled run begins. One of the three is given.
struct Sensor {
    Text file;
    Text table;
    Text http;
    Text connection;  ///< of `table`
    Text where;       ///< of its rows
    std::chrono::microseconds every = std::chrono::seconds(30);
};

/// `verify` of a pipeline: when source and target are compared, and how much of them each time.
struct Verification : Times {
    int64_t parts = 1;  ///< one of so many parts of the keys each time, all of them in turn
};

/// What the scheduler asks of a pipeline beside its schedule.
struct Scheduling : Notifying {
    Text start_date;
    std::vector<Located<Sensor>> wait_for;
    Text pool;
    int64_t priority = 0;
    std::optional<std::chrono::microseconds> timeout;  ///< of a whole run, whatever started it
    std::optional<std::chrono::microseconds> sla;
    std::optional<Verification> verify;
};

/// A pipeline of the file with all that may be said of it. In a header of its own: what reads and writes rows does not know it.
struct PipelineEntry : PipelineConfig, Scheduling {};

const Spec<Sensor>& sensor_spec();
const Spec<Verification>& verification_spec();
const Spec<Scheduling>& scheduling_spec();
const Spec<PipelineEntry>& pipeline_entry_spec();

}  // namespace penstock::config
