#include "connect/kafka/sink.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "connect/kafka/topics.h"

namespace penstock::kafka {
namespace {

constexpr int64_t usual_limit = 1'048'588;  // the brokers' message.max.bytes, where it may not be asked

bool same(const flow::BatchRecord& a, const flow::BatchRecord& b) {
    return a.source == b.source && a.target == b.target && a.batch == b.batch && a.checkpoint == b.checkpoint;
}

}  // namespace

Sink::Sink(SinkSettings settings)
    : settings_(std::move(settings)), bookkeeping_(settings_.connection, bookkeeping_topics(settings_.target)) {}

Sink::~Sink() { abort(); }

Result<std::vector<flow::TablePlan>> Sink::plan(const std::vector<flow::TableTarget>& tables, std::stop_token stop) {
    stop_ = stop;
    PN_TRY(auto client, Client::open(Role::producer, settings_.connection, {}));
    topics_.clear();
    for (const auto& table : tables) topics_.push_back(table.name);
    PN_TRY(auto counts, partition_counts(client, topics_));
    PN_TRY(planned_, bookkeeping_.batches(settings_.pipeline, stop));
    kept_.reset();
    for (const auto& batch : planned_) {
        batches_[batch.source + '\n' + batch.target] = batch.batch;
        if (batch.source == flow::stream_row) kept_ = batch.checkpoint;
    }
    refusal_.reset();
    std::vector<flow::TablePlan> plans;
    for (const auto& table : tables) {
        auto& plan = plans.emplace_back();
        plan.exists = counts[table.name] > 0;
        auto known = std::ranges::find_if(
            planned_, [&](const auto& batch) { return batch.source == table.info.name && batch.target == table.name; });
        if (known != planned_.end()) plan.checkpoint = known->checkpoint;
        if (plan.exists) continue;
        if (settings_.target.create_topics) {
            plan.decisions.push_back(
                {.change = "table_created", .decision = "applied", .detail = "topic " + table.name + " is created"});
            continue;
        }
        plan.refusal = Error{.kind = ErrorKind::refused,
                             .code = "no_such_topic",
                             .message = fmt::format("topic {} does not exist", table.name),
                             .where = "connection " + settings_.connection.name,
                             .hint = "create it, or set `create_topics: true` in the target"};
        plan.decisions.push_back({.change = "table_created", .decision = "refused", .detail = plan.refusal->message});
        refusal_ = plan.refusal;
    }
    return plans;
}

Status Sink::begin(const flow::RunIdentity& run) {
    run_ = run;
    if (producer_ == nullptr) PN_CHECK(open());
    PN_CHECK(producer_->begin());
    open_transaction_ = true;
    return {};
}

/// Fences, then looks again: a transaction of an older run may have become durable after plan() read.
Status Sink::open() {
    if (refusal_) return fail(*refusal_);
    PN_TRY(auto client, Client::open(Role::producer, settings_.connection, {}));
    PN_CHECK(prepare_topics(client));
    int64_t largest = reject_limit_;
    for (const auto& [topic, limit] : limits_) largest = std::max(largest, limit);
    int64_t smallest = usual_limit;
    for (const auto& [topic, limit] : limits_) smallest = std::min(smallest, limit);
    ProducerSettings producer{
        .transactional_id = settings_.target.transactional_id.empty() ? "penstock." + settings_.pipeline
                                                                      : settings_.target.transactional_id,
        .compression = std::string(to_string(settings_.target.compression)),
        .transaction_timeout =
            std::chrono::duration_cast<std::chrono::milliseconds>(settings_.target.transaction_timeout),
        .queue_bytes = settings_.memory_bytes / 4,
        .message_bytes = largest,
        .batch_bytes = smallest};
    PN_TRY(producer_, Producer::open(settings_.connection, producer, stop_));
    Status unmoved = producer_->look_up(all_topics());
    if (unmoved) unmoved = check_unmoved();
    if (!unmoved) producer_.reset();
    return unmoved;
}

/// Those of the tables, and our own.
std::vector<std::string> Sink::all_topics() const {
    const auto& books = bookkeeping_.topics();
    auto all = topics_;
    all.insert(all.end(), {books.checkpoints, books.rejects, books.batches});
    return all;
}

Status Sink::prepare_topics(const Client& client) {
    const auto& books = bookkeeping_.topics();
    auto all = all_topics();
    PN_TRY(auto counts, partition_counts(client, all));
    const auto& target = settings_.target;
    int replication = static_cast<int>(target.replication.value_or(-1));
    std::vector<NewTopic> absent;
    for (const auto& name : all) {
        if (counts[name] > 0) continue;
        NewTopic topic{.name = name, .partitions = 1, .replication = replication};
        if (name == books.checkpoints || name == books.rejects) {
            topic.config["cleanup.policy"] = "compact";
            if (name == books.rejects) {
                topic.config["max.message.bytes"] = std::to_string(largest_reject);
            } else {
                // Only closed segments are compacted, and every run begins by reading what there is.
                topic.config["segment.bytes"] = "4194304";
                topic.config["min.cleanable.dirty.ratio"] = "0.1";
            }
        } else if (name != books.batches) {
            topic.partitions = static_cast<int>(target.partitions.value_or(-1));
            topic.config = target.topic_config;
        }
        absent.push_back(std::move(topic));
    }
    PN_FAILPOINT(target_schema_before);
    PN_CHECK(create_topics(client, absent));
    std::map<std::string, int64_t> asked;
    if (auto limits = message_limits(client, all)) asked = *limits;
    else log::warning("{}; messages above {} bytes become rejects", limits.error().message, usual_limit);
    reject_limit_ = asked.contains(books.rejects) ? asked[books.rejects] : usual_limit;
    for (const auto& name : topics_) {
        limits_[name] = asked.contains(name) ? asked[name] : usual_limit;
        if (target.max_message_bytes) limits_[name] = static_cast<int64_t>(target.max_message_bytes->count);
    }
    return {};
}

Status Sink::check_unmoved() {
    PN_TRY(auto now, bookkeeping_.batches(settings_.pipeline, stop_));
    if (std::ranges::equal(now, planned_, same)) return {};
    return fail(
        {.kind = ErrorKind::conflict,
         .code = "checkpoint_moved",
         .message = fmt::format("the checkpoints of pipeline {} moved while this run began", settings_.pipeline),
         .where = "topic " + bookkeeping_.topics().checkpoints,
         .hint = "another run has committed; run again"});
}

Status Sink::keep_stream(const flow::Checkpoint& at) {
    keeping_ = at;
    return {};
}

int64_t Sink::next_batch(const std::string& source, const std::string& target) {
    return ++batches_[source + '\n' + target];
}

Status Sink::write_rejects(const flow::TableCommit& table, int64_t batch) {
    int64_t ordinal = 0;
    return table.rejects.for_each([&](const flow::Reject& reject) {
        // Short, and the same whenever this batch is written again.
        auto name = fmt::format("{}/{}/{}", settings_.pipeline, table.target.name, table.target.info.name);
        uint32_t hash = 2'166'136'261U;
        for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
        flow::RejectRecord record{.id = fmt::format("{:08x}-{}-{}", hash, batch, ++ordinal),
                                  .pipeline = settings_.pipeline,
                                  .run_id = run_.run_id,
                                  .reject = reject};
        return bookkeeping_.write_reject(*producer_, std::move(record), reject_limit_);
    });
}

Status Sink::commit(std::span<const flow::TableCommit> tables) {
    auto committed_at = now();
    auto add = [&](const std::string& source, const std::string& target, const flow::Checkpoint& at,
                   const flow::Counts& counts) {
        return flow::BatchRecord{.pipeline = settings_.pipeline,
                                 .run_id = run_.run_id,
                                 .batch = next_batch(source, target),
                                 .source = source,
                                 .target = target,
                                 .checkpoint = at,
                                 .counts = counts,
                                 .committed_at = committed_at};
    };
    for (const auto& table : tables) {
        auto batch = add(table.target.info.name, table.target.name, table.checkpoint, table.counts);
        PN_CHECK(write_rejects(table, batch.batch));
        PN_CHECK(bookkeeping_.write_batch(*producer_, batch));
    }
    if (keeping_) PN_CHECK(bookkeeping_.write_batch(*producer_, add(flow::stream_row, "", *keeping_, {})));
    PN_CHECK(producer_->commit());
    open_transaction_ = false;
    if (keeping_) kept_ = std::exchange(keeping_, std::nullopt);
    return {};
}

void Sink::abort() noexcept {
    keeping_.reset();
    if (producer_ != nullptr && open_transaction_) producer_->abort();
    open_transaction_ = false;
}

}  // namespace penstock::kafka
