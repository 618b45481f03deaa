#include "config/times.h"

namespace penstock::config {

const Spec<Times>& times_spec() {
    static const auto made =
        Spec<Times>("times", "When `penstock serve` does it.")
            .field("schedule", &Times::schedule,
                   "A cron expression of five fields, @hourly, @daily, @weekly, @monthly, @yearly, or @every with a "
                   "duration. One makes up for times that were missed.",
                   {.example = "\"0 2 * * 0\""})
            .field("timezone", &Times::timezone, "The time zone of the schedule, by its IANA name.",
                   {.example = "Europe/Vienna", .default_note = "UTC"})
            .requires_other("timezone", "schedule");
    return made;
}

}  // namespace penstock::config
