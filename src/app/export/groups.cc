#include "app/export/groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "app/pipeline.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

bool same_times(const config::Document& document, const config::PipelineConfig* one,
                const config::PipelineConfig* other) {
    if (one == other || one == nullptr || other == nullptr) return one == other;
    return one->schedule.value == other->schedule.value && one->timezone.value == other->timezone.value &&
           one->catchup == other->catchup &&
           document.scheduling_of(*one).start_date.value == document.scheduling_of(*other).start_date.value;
}

bool comes_after(const config::PipelineConfig& pipeline, const RunGroup& group) {
    return std::ranges::any_of(pipeline.after, [&](const config::Text& before) {
        return std::ranges::find(group.pipelines, before.value, &config::PipelineConfig::name) != group.pipelines.end();
    });
}

Error bad_shards(const std::string& given, std::string_view what, std::string hint) {
    return {.kind = ErrorKind::usage,
            .code = "bad_shards",
            .message = fmt::format("--shards {}: {}", given, what),
            .hint = std::move(hint)};
}

}  // namespace

std::vector<RunGroup> run_groups(const config::Document& document) {
    std::vector<RunGroup> groups;
    for (const auto& name : document.run_order()) {
        const auto& pipeline = *document.pipeline(name);
        RunGroup made{.leader = document.scheduled_by(pipeline), .pipelines = {}};
        // It may join what nothing has joined so far.
        for (auto at = groups.begin(); at != groups.end();) {
            bool joins = same_times(document, at->leader, made.leader) && comes_after(pipeline, *at);
            if (joins) std::ranges::move(at->pipelines, std::back_inserter(made.pipelines));
            at = joins ? groups.erase(at) : at + 1;
        }
        made.pipelines.push_back(&pipeline);
        groups.push_back(std::move(made));
    }
    return groups;
}

std::optional<std::string> cron_fields(const std::string& schedule) {
    static const std::map<std::string, std::string, std::less<>> names = {
        {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};
    if (auto found = names.find(schedule); found != names.end()) return found->second;
    if (!schedule.starts_with("@every ")) return schedule;
    auto step = parse_duration(std::string_view(schedule).substr(7));
    if (!step) return std::nullopt;
    auto minutes = std::chrono::duration_cast<std::chrono::minutes>(*step);
    if (minutes != *step || minutes.count() <= 0) return std::nullopt;
    if (minutes.count() < 60 && 60 % minutes.count() == 0) return fmt::format("*/{} * * * *", minutes.count());
    auto hours = minutes.count() / 60;
    if (minutes.count() % 60 != 0 || 24 % hours != 0) return std::nullopt;
    if (hours == 24) return "0 0 * * *";
    return hours == 1 ? "0 * * * *" : fmt::format("0 */{} * * *", hours);
}

std::string schedule_zone(const config::PipelineConfig& leader) {
    return leader.timezone.empty() || leader.schedule.value.starts_with("@every ") ? "UTC" : leader.timezone.value;
}

Result<Shards> read_shards(const config::Document& document, const std::vector<std::string>& given) {
    Shards shards;
    for (const auto& one : given) {
        auto equals = one.find('=');
        auto name = one.substr(0, equals);
        int count = 0;
        const char* end = one.data() + one.size();
        if (equals == one.npos ||
            std::from_chars(one.data() + equals + 1, end, count) != std::from_chars_result{end, std::errc()})
            return fail(bad_shards(one, "is not NAME=N", "write the pipeline and how many: --shards events=4"));
        if (count < 1 || count > 1000)
            return fail(bad_shards(one, "is no number from 1 to 1000", "choose another one"));
        PN_TRY(auto pipeline, Pipeline::find(document, name));
        if (!pipeline.is_routed())
            return fail(bad_shards(one, "is no stream of events, which processes can share",
                                   "a table is read by one process, with several connections (`parallel`)"));
        shards[name] = count;
    }
    return shards;
}

Error not_exported(const config::Place& place, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = "not_exported",
            .message = std::move(message),
            .where = place.text(),
            .hint = std::move(hint)};
}

}  // namespace penstock::app
