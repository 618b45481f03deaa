#include "app/operate/news.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/output.h"
#include "app/run_json.h"
#include "app/schedule/backup_jobs.h"
#include "app/schedule/verify_jobs.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/redacted.h"
#include "state/notices.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

/// What is no failure of the pipeline: somebody stopped the run, another one has the pipeline, or it waits for a cheaper day.
bool is_failure(const flow::RunResult& result) {
    if (result.status != flow::RunStatus::failed && result.status != flow::RunStatus::stopped) return false;
    if (result.deferred_until) return false;
    if (!result.error) return true;
    return result.error->kind != ErrorKind::interrupted && result.error->code != "already_running" &&
           result.error->code != "lock_lost";
}

/// Whether the newest run of the pipeline before this one that succeeded or failed has failed.
Result<bool> had_failed(state::Store& store, const flow::RunIdentity& run) {
    constexpr int looked_at = 20;
    PN_TRY(auto records, store.runs(looked_at, run.pipeline));
    for (const auto& record : records) {
        if (record.run_id == run.run_id || record.deferred_until) continue;
        if (record.error && record.error->kind == ErrorKind::interrupted) continue;
        if (record.status == "success") return false;
        if (record.status == "failed" || record.status == "stopped") return true;
    }
    return false;
}

Json window_json(TimePoint start, TimePoint end) {
    if (end == TimePoint{}) return nullptr;
    return {{"start", iso_time(start)}, {"end", iso_time(end)}};
}

}  // namespace

struct News::Item {
    std::string event, pipeline;
    std::string occasion;  ///< what happened once: an attempt, a run, a window
    std::string subject;
    std::string title, text;
    Json more = Json::object();

    /// No pipeline has a name with a dot.
    void about(const config::Backup& backup) {
        pipeline = "backups." + backup.name;
        more["pipeline"] = nullptr;
        more["backup"] = backup.name;
    }
};

void News::tell(const std::vector<config::Text>& receivers, const config::Notify& notify, const Item& item) const {
    if (receivers.empty()) return;
    auto at = state::lease_clock();
    auto id = sha256_hex(fmt::format("{}\n{}\n{}", item.event, item.pipeline, item.occasion)).substr(0, 32);
    Json payload = {{"id", id},          {"event", item.event}, {"pipeline", item.pipeline}, {"title", item.title},
                    {"text", item.text}, {"at", iso_time(at)}};
    payload.update(item.more);
    state::Notice notice{.id = id,
                         .pipeline = item.pipeline,
                         .event = item.event,
                         .subject = item.subject,
                         .payload = redacted(std::move(payload)).dump(-1, ' ', false, Json::error_handler_t::replace),
                         .made_at = at};
    auto notices = state::Notices::open(document_.state.reveal(), document_.state_directory);
    for (const auto& receiver : receivers) {
        notice.connection = receiver.value;
        auto added = notices ? notices->add(notice, notify.repeat) : fail(notices.error());
        if (!added) log::warning("{} is not told of {}: {}", receiver.value, item.event, added.error().message);
    }
}

void News::tell_of_budget(const flow::RunResult& result, const config::Notify& notify, Item item) const {
    bool deferred = result.deferred_until.has_value();
    item.event = deferred ? "budget_deferred" : "budget_stopped";
    item.subject = deferred ? iso_time(*result.deferred_until) : result.error->code;
    if (deferred) item.occasion = item.subject;  // told once, however often it is tried until then
    item.title = fmt::format("{} was {} by its budget", item.pipeline, deferred ? "put off" : "stopped");
    item.text = result.error->message;
    item.more["deferred_until"] = deferred ? Json(iso_time(*result.deferred_until)) : Json(nullptr);
    std::vector<config::Text> receivers = notify.budget;
    if (!deferred)
        std::erase_if(receivers, [&](const config::Text& one) {
            return std::ranges::any_of(notify.failure, [&](const auto& told) { return told.value == one.value; });
        });
    tell(receivers, notify, item);
}

void News::run_ended(const flow::RunResult& result, const state::RunCause& cause, state::Store& store) const {
    const auto& identity = result.identity;
    const auto* pipeline = document_.pipeline(identity.pipeline);
    if (pipeline == nullptr || identity.run_id.empty()) return;
    const auto& notify = document_.scheduling_of(*pipeline).notify;
    Item item{.pipeline = identity.pipeline, .occasion = cause.token.empty() ? identity.run_id : cause.token};
    item.more = {{"run_id", identity.run_id},
                 {"status", flow::to_string(result.status)},
                 {"origin", schedule::to_string(cause.origin)},
                 {"window", window_json(cause.window_start, cause.window_end)},
                 {"duration_seconds", result.duration.count()},
                 {"counts", counts_json(result.counts())},
                 {"error", result.error ? error_json(*result.error) : Json(nullptr)}};
    if (result.error && result.error->kind == ErrorKind::budget) tell_of_budget(result, notify, item);
    if (is_failure(result)) {
        item.event = "run_failed";
        item.subject = result.error ? result.error->code : "";
        item.title =
            fmt::format("{} {}", item.pipeline, result.status == flow::RunStatus::stopped ? "was stopped" : "failed");
        item.text = result.error ? result.error->message : "";
        return tell(notify.failure, notify, item);
    }
    if (result.status != flow::RunStatus::success || notify.recovery.empty()) return;
    auto failed = had_failed(store, identity);
    if (!failed) return log::warning("nobody is told whether {} recovered: {}", item.pipeline, failed.error().message);
    if (!*failed) return;
    item.event = "run_recovered";
    item.subject = identity.run_id;  // never the same again
    item.title = fmt::format("{} has succeeded again", item.pipeline);
    tell(notify.recovery, notify, item);
}

void News::scheduled(const ScheduleEvent& event) const {
    const auto* backup = backup_of(document_, event.pipeline);
    const auto* verified = verified_pipeline(document_, event.pipeline);
    const auto* pipeline = verified != nullptr ? verified : document_.pipeline(event.pipeline);
    if (pipeline == nullptr && backup == nullptr) return;
    const auto& notify = pipeline != nullptr ? document_.scheduling_of(*pipeline).notify : backup->notify;
    auto window = iso_time(event.interval.end);
    if (backup != nullptr || verified != nullptr)
        window += " " + event.pipeline;  // one name stands for all that is done
    Item item{.event = std::string(to_string(event.kind)),
              .pipeline = verified != nullptr ? verified->name : event.pipeline,
              .occasion = window,
              .subject = window,
              .text = event.message,
              .more = {{"window", window_json(event.interval.start, event.interval.end)}, {"error", nullptr}}};
    if (backup != nullptr) item.about(*backup);
    // One that ended in an orderly way has told of itself.
    if (event.kind == ScheduleEvent::Kind::run_failed && event.interval.crashes > 0) {
        if (backup != nullptr) item.event = is_drill(event.pipeline) ? "drill_failed" : "backup_failed";
        if (verified != nullptr) item.event = "verify_failed";
        item.title = fmt::format("{} failed", event.pipeline);
        item.occasion = event.interval.token;
        item.subject = "crashed";
        tell(notify.failure, notify, item);
    } else if (event.kind == ScheduleEvent::Kind::sla_missed) {
        item.title = fmt::format("{} is late", event.pipeline);
        tell(notify.sla, notify, item);
    } else if (event.kind == ScheduleEvent::Kind::times_missed) {
        item.title = fmt::format("{} was missed", event.pipeline);
        tell(notify.missed, notify, item);
    }
}

void News::drill_failed(const config::Backup& backup, const std::string& drill,
                        const std::vector<std::string>& why) const {
    constexpr size_t most_told = 10;
    Item item{.event = "drill_failed",
              .occasion = drill,
              .subject = sha256_hex(why.front()).substr(0, 16),
              .title = fmt::format("the drill of backup {} failed", backup.name),
              .more = {{"drill", drill}}};
    item.about(backup);
    for (size_t i = 0; i < std::min(why.size(), most_told); ++i) item.text += why[i] + "\n";
    if (why.size() > most_told) item.text += fmt::format("and {} more\n", why.size() - most_told);
    tell(backup.notify.failure, backup.notify, item);
}

void News::backup_failed(const config::Backup& backup, const std::string& token, const Error& error) const {
    Item item{.event = "backup_failed",
              .occasion = token,
              .subject = error.code,
              .title = fmt::format("a backup of {} failed", backup.name),
              .text = error.message,
              .more = {{"error", error_json(error)}}};
    item.about(backup);
    tell(backup.notify.failure, backup.notify, item);
}

void News::verify_failed(const config::PipelineConfig& pipeline, const std::string& token,
                         const std::vector<std::string>& why) const {
    Item item{.event = "verify_failed",
              .pipeline = pipeline.name,
              .occasion = token,
              .subject = sha256_hex(fmt::format("{}", fmt::join(why, "\n"))).substr(0, 16),
              .title = fmt::format("{}: source and target were not found equal", pipeline.name),
              .text = fmt::format("{}", fmt::join(why, "\n"))};
    const auto& notify = document_.scheduling_of(pipeline).notify;
    tell(notify.failure, notify, item);
}

bool tells_anybody(const config::Document& document) {
    if (std::ranges::any_of(document.backups, [](const auto& one) { return one.notify.any(); })) return true;
    return std::ranges::any_of(document.pipelines,
                               [&](const auto& one) { return document.scheduling_of(one).notify.any(); });
}

}  // namespace penstock::app
