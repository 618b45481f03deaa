#include "config/document_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include "config/suggest.h"

namespace penstock::config {
namespace {

Error configuration_error(std::string code, std::string message, const Place& where, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = where.text(),
            .hint = std::move(hint)};
}

enum class Mark { unseen, open, done };

/// Walks `after` depth first. What is done lies in an order where each pipeline comes after those it waits for.
class AfterWalk {
  public:
    explicit AfterWalk(const Document& document) : document_(document) {}

    void walk(Diagnostics* diagnostics) {
        for (const auto& pipeline : document_.pipelines)
            if (marks_[&pipeline] == Mark::unseen) visit(pipeline, diagnostics);
    }
    const std::vector<std::string>& order() const { return order_; }

  private:
    /// The depth is bounded by the number of pipelines in a file of bounded size, so a stack of frames would gain nothing.
    void visit(const PipelineConfig& pipeline, Diagnostics* diagnostics) {
        marks_[&pipeline] = Mark::open;
        path_.push_back(&pipeline);
        for (const auto& before : pipeline.after) {
            const PipelineConfig* next = document_.pipeline(before.value);
            if (next == nullptr) continue;
            Mark mark = marks_[next];
            if (mark == Mark::open && diagnostics != nullptr) report(*next, before.place, *diagnostics);
            if (mark == Mark::unseen) visit(*next, diagnostics);
        }
        path_.pop_back();
        marks_[&pipeline] = Mark::done;
        order_.push_back(pipeline.name);
    }

    void report(const PipelineConfig& closing, const Place& where, Diagnostics& diagnostics) {
        std::string circle;
        for (auto at = std::find(path_.begin(), path_.end(), &closing); at != path_.end(); ++at)
            circle += fmt::format("{} -> ", (*at)->name);
        diagnostics.add(
            configuration_error("dependency_cycle",
                                fmt::format("pipelines.{}.after: pipelines wait for each other in a circle: {}{}",
                                            path_.back()->name, circle, closing.name),
                                where, "remove one 'after' of the circle"));
    }

    const Document& document_;
    std::map<const PipelineConfig*, Mark> marks_;
    std::vector<const PipelineConfig*> path_;
    std::vector<std::string> order_;
};

/// What a pipeline writes to: `identity` is equal for equal destinations, `said` names it.
struct Destination {
    std::string identity;
    std::string said;
    Place place;
};

std::string text_of(const Node* node) { return node == nullptr ? "" : dump_inline(*node); }

Destination destination_of(const Document& document, const PipelineConfig& pipeline) {
    const Connection* connection = document.connection(pipeline.target_connection);
    if (connection == nullptr) return {};
    const Node& target = pipeline.target;
    for (std::string_view key : {"table", "path", "topic"}) {
        const Node* named = target.find(key);
        if (named == nullptr || !named->is_scalar()) continue;
        // A name with placeholders gives one table for each table read, so what is read counts too.
        std::string read = named->text.find('{') == named->text.npos
                               ? ""
                               : text_of(pipeline.source.find("table")) + text_of(pipeline.source.find("tables"));
        return {fmt::format("{}\n{}\n{}\n{}", dump(connection->options), key, named->text, read),
                fmt::format("{} {} of connection '{}'", key, named->shown(), connection->name), named->place};
    }
    const Node* tables = pipeline.source.find("table");
    if (tables == nullptr) tables = pipeline.source.find("tables");
    if (tables == nullptr) return {};
    const Node* dataset = target.find("dataset");
    return {fmt::format("{}\n{}\n{}", dump(connection->options), text_of(dataset), dump_inline(*tables)),
            fmt::format("the tables of {} in connection '{}'", dump_inline(*tables), connection->name),
            dataset ? dataset->place : target.place};
}

}  // namespace

void check_after(const Document& document, Diagnostics& diagnostics) {
    std::vector<std::string> names;
    for (const auto& pipeline : document.pipelines) names.push_back(pipeline.name);
    for (const auto& pipeline : document.pipelines)
        for (const auto& before : pipeline.after) {
            if (document.pipeline(before.value)) continue;
            diagnostics.add(
                configuration_error("unknown_pipeline",
                                    fmt::format("pipelines.{}.after: there is no pipeline '{}'{}", pipeline.name,
                                                before.value, did_you_mean(before.value, names)),
                                    before.place, fmt::format("pipelines: {}", fmt::join(names, ", "))));
        }
    AfterWalk(document).walk(&diagnostics);
}

const PipelineConfig* Document::scheduled_by(const PipelineConfig& pipeline) const {
    std::set<const PipelineConfig*> seen;
    std::vector<const PipelineConfig*> todo = {&pipeline};
    while (!todo.empty()) {
        const auto* one = todo.back();
        todo.pop_back();
        if (!seen.insert(one).second) continue;
        if (!one->schedule.empty()) return one;
        for (const auto& before : std::ranges::reverse_view(one->after))
            if (const auto* next = this->pipeline(before.value)) todo.push_back(next);
    }
    return nullptr;
}

void check_schedules(const Document& document, Diagnostics& diagnostics) {
    if (!diagnostics.empty()) return;  // there may be a circle
    for (const auto& pipeline : document.pipelines) {
        if (const auto& pool = document.scheduling_of(pipeline).pool;
            !pool.empty() && !document.pools.contains(pool.value))
            diagnostics.add(configuration_error(
                "unknown_pool", fmt::format("pipelines.{}.pool: there is no pool '{}'", pipeline.name, pool.value),
                pool.place, fmt::format("say how large it is: `pools: {{{}: 2}}`", pool.value)));
        if (!pipeline.schedule.empty()) continue;
        const auto* scheduled_by = document.scheduled_by(pipeline);
        for (const auto& before : pipeline.after) {
            const auto* other = document.scheduled_by(*document.pipeline(before.value));
            if (other == nullptr || (other->schedule.value == scheduled_by->schedule.value &&
                                     other->timezone.value == scheduled_by->timezone.value))
                continue;
            diagnostics.add(configuration_error(
                "schedule_unclear",
                fmt::format("pipelines.{}.after: '{}' is scheduled by \"{}\" and others by \"{}\"", pipeline.name,
                            before.value, other->schedule.value, scheduled_by->schedule.value),
                before.place,
                "give the pipeline a `schedule` of its own: its runs then wait for the newest of theirs"));
        }
    }
}

void check_targets(const Document& document, Diagnostics& diagnostics) {
    std::map<std::string, std::pair<const PipelineConfig*, Place>> seen;
    for (const auto& pipeline : document.pipelines) {
        Destination destination = destination_of(document, pipeline);
        if (destination.identity.empty()) continue;
        auto [first, is_new] = seen.try_emplace(destination.identity, &pipeline, destination.place);
        if (is_new) continue;
        const auto& [other, place] = first->second;
        diagnostics.add(configuration_error(
            "target_written_twice",
            fmt::format("pipelines.{}.target: writes to {}, which pipeline '{}' writes too", pipeline.name,
                        destination.said, other->name),
            destination.place,
            fmt::format("the other stands at {}; give one of them another destination", place.text())));
    }
}

std::vector<std::string> Document::run_order() const {
    AfterWalk walk(*this);
    walk.walk(nullptr);
    return walk.order();
}

}  // namespace penstock::config
