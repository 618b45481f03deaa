#include "connect/pubsub/sink.h"

#include <fmt/format.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/pubsub/table_publication.h"

namespace penstock::pubsub {
namespace {

Error takes_changes_only(const std::string& table) {
    return {.kind = ErrorKind::configuration,
            .code = "changes_only",
            .message = fmt::format("a topic takes changes, and {} is read as a whole", table),
            .hint = "capture it: `source: {changes: {tables: […]}}`"};
}

}  // namespace

Sink::Sink(SinkSettings settings)
    : settings_(std::move(settings)),
      ledger_(settings_.state_url, settings_.state_directory, settings_.connection_name) {}

Status Sink::connect() {
    if (client_) return {};
    auto limits = settings_.target.limits(settings_.memory_bytes);
    PN_TRY(client_, Client::make(settings_.connection, limits.requests));
    publisher_ = std::make_unique<Publisher>(*client_, limits);
    return {};
}

Result<std::vector<flow::TablePlan>> Sink::plan(const std::vector<flow::TableTarget>& tables, std::stop_token stop) {
    stop_ = std::move(stop);
    PN_CHECK(connect());
    std::vector<flow::TablePlan> plans;
    for (const auto& target : tables) {
        if (!target.info.changes) return fail(takes_changes_only(target.info.name));
        PN_TRY(auto plan, plan_of(target));
        plans.push_back(std::move(plan));
    }
    PN_TRY(stream_.at, ledger_.checkpoint(settings_.pipeline, state::TargetLedger::stream_source, ""));
    return plans;
}

Result<flow::TablePlan> Sink::plan_of(const flow::TableTarget& target) {
    flow::TablePlan plan;
    PN_TRY(auto topic, topic_of(settings_.connection, settings_.target, settings_.envelope.server, target.info));
    PN_TRY(plan.checkpoint, ledger_.checkpoint(settings_.pipeline, target.info.name, target.name));
    PN_CHECK(look_at_topic(topic, plan));
    plan.statements = {fmt::format("publish to {}", topic)};
    return plan;
}

Status Sink::look_at_topic(const std::string& topic, flow::TablePlan& plan) {
    PN_TRY(auto seen, client_->look_for_topic(topic, stop_));
    plan.exists = seen != Client::Seen::missing;
    if (plan.exists) {
        if (seen == Client::Seen::hidden || !looked_at_.insert(topic).second) return {};
        PN_TRY(auto subscribed, client_->look_for_subscription(topic, stop_));
        if (subscribed == Client::Seen::missing)
            log::warning("{} has no subscription: unless it retains messages, what is published to it reaches nobody",
                         topic);
        return {};
    }
    if (!settings_.target.create_topics) {
        refusal_ = Error{.kind = ErrorKind::refused,
                         .code = "no_topic",
                         .message = fmt::format("there is no topic {}", topic),
                         .hint = "create it and a subscription with message ordering, or set `create_topics: true`"};
        plan.refusal = refusal_;
        return {};
    }
    to_create_.insert(topic);
    plan.decisions.push_back({.change = "table_created",
                              .decision = "applied",
                              .detail = fmt::format("{} is created; a subscription has to be made for it", topic)});
    return {};
}

Status Sink::begin(const flow::RunIdentity& run) {
    run_ = run;
    next_stream_.reset();
    if (refusal_) return fail(*refusal_);
    for (const auto& topic : to_create_) {
        PN_FAILPOINT(target_schema_before);
        PN_CHECK(client_->create_topic(topic, settings_.target.topic_retention, stop_));
        log::info("created {}", topic);
    }
    to_create_.clear();
    return {};
}

Result<flow::Counts> Sink::load(const flow::TableTarget& target, flow::Scan& scan, const flow::ScanContext& context) {
    PN_TRY(auto topic, topic_of(settings_.connection, settings_.target, settings_.envelope.server, target.info));
    PN_TRY(auto encoder, debezium::Encoder::make(target.info, scan.schema(), settings_.envelope));
    MessageMaker maker(target.info, settings_.target.ordering, settings_.envelope.server, run_.run_id);
    TablePublication publication(*publisher_, std::move(topic), settings_.target.ordering, std::move(maker),
                                 std::move(encoder), target, context);
    PN_TRY(auto counts, publication.run(scan));
    PN_FAILPOINT(target_stage_after);
    return counts;
}

Status Sink::commit(std::span<const flow::TableCommit> tables) {
    PN_CHECK(publisher_->flush(stop_));
    PN_FAILPOINT(target_commit_before);
    return ledger_.commit(run_, tables, next_stream_);
}

Status Sink::keep_stream(const flow::Checkpoint& at) {
    next_stream_ = at;
    return {};
}

void Sink::abort() noexcept {
    if (publisher_) publisher_->abort();
}

}  // namespace penstock::pubsub
