#include "config/scheduling.h"

#include "base/zone.h"
#include "config/cron.h"
#include "config/spec.h"

namespace penstock::config {
namespace {

Status placed(Status status, const Place& place) {
    if (!status) status.error().where = place.text();
    return status;
}

Status check_names(const PipelineEntry& scheduling, const Node&) {
    if (scheduling.schedule.place.line != 0) {
        auto cron = parse_cron(scheduling.schedule.value);
        if (!cron) return placed(fail(cron.error()), scheduling.schedule.place);
        if (cron->every.count() != 0 && scheduling.timezone.place.line != 0)
            return fail({.kind = ErrorKind::configuration,
                         .code = "option_without_effect",
                         .message = "'timezone' has no effect on '@every', which counts time as it goes by",
                         .where = scheduling.timezone.place.text(),
                         .hint = "remove it, or write a cron expression"});
    }
    if (scheduling.timezone.place.line == 0) return {};
    auto zone = Zone::find(scheduling.timezone.value);
    return zone ? Status{} : placed(fail(zone.error()), scheduling.timezone.place);
}

}  // namespace

const Spec<Sensor>& sensor_spec() {
    using S = Sensor;
    static const auto made =
        Spec<S>("wait_for", "What must be there before a scheduled run begins. Waiting takes no worker and no thread.")
            .field("file", &S::file, "A path on this machine, relative to the configuration; `*` and `?` match.",
                   {.example = "\"incoming/{window.start}/_SUCCESS\""})
            .field("http", &S::http, "An URL that must answer a GET with a status from 200 to 299.",
                   {.example = "https://example.com/ready"})
            .field("every", &S::every, "How long to wait before looking again.")
            .field("table", &S::table, "A table that must have a row. It is asked for one alone.",
                   {.example = "ops.loads"})
            .field("connection", &S::connection, "The connection that the table is in.", {.example = "shop"})
            .field("where", &S::where, "SQL that the row must meet, in the connection's own words.",
                   {.example = "\"day = '{window.date}' AND state = 'done'\""})
            .one_of({"file", "http", "table"})
            .requires_other("table", "connection")
            .requires_other("connection", "table")
            .requires_other("where", "table");
    return made;
}

const Spec<Verification>& verification_spec() {
    using V = Verification;
    static const auto made =
        Spec<V>("verify", "When `penstock serve` compares source and target, as `penstock verify` does.")
            .include(times_spec())
            .field("parts", &V::parts,
                   "Each time only one of so many parts of the keys is compared, all of them in turn: with 24 and an "
                   "hourly schedule each row is compared once a day.",
                   {.example = "24", .least = 1, .most = 1000})
            .at_least_one_of({"schedule"});
    return made;
}

const Spec<Scheduling>& scheduling_spec() {
    using S = Scheduling;
    static const auto made =
        Spec<S>("scheduling", "What the scheduler asks of a pipeline.")
            .include(notifying_spec())
            .field("start_date", &S::start_date,
                   "The first day, or moment, whose times count as missed; with `catchup`.",
                   {.example = "\"2026-11-01\"", .default_note = "when the scheduler first sees the pipeline"})
            .field("wait_for", &S::wait_for, sensor_spec(), "What must be there before a scheduled run begins.",
                   {.example = "[{file: incoming/_SUCCESS}]"})
            .field("pool", &S::pool,
                   "A pool of the file's `pools`, which bounds how many scheduled runs go on at once.",
                   {.example = "shop_reads", .default_note = "none"})
            .field("priority", &S::priority, "Of scheduled runs that could begin, those with more begin first.",
                   {.least = -1000, .most = 1000})
            .field("timeout", &S::timeout,
                   "Longest time a run may take, its retries included. It is then stopped, and has failed.",
                   {.example = "2h", .default_note = "none"})
            .field("sla", &S::sla,
                   "How long after its scheduled time a run must have succeeded; what has not is reported once.",
                   {.example = "1h", .default_note = "none"})
            .field("verify", &S::verify, verification_spec(),
                   "When source and target are compared, row by row. What differs is told to whom `notify.failure` "
                   "names.",
                   {.example = "{schedule: \"30 * * * *\", parts: 24}"});
    return made;
}

const Spec<PipelineEntry>& pipeline_entry_spec() {
    static const auto made = Spec<PipelineEntry>("pipeline", pipeline_spec().doc())
                                 .include(pipeline_spec())
                                 .include(scheduling_spec())
                                 .requires_other("start_date", "schedule")
                                 .check(check_names);
    return made;
}

}  // namespace penstock::config
