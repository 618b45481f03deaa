// What a stream does besides where it is one of several in a group.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "connect/kafka/message_stream.h"
#include "connect/kafka/topic_checks.h"
#include "flow/shared_stream.h"

namespace penstock::kafka {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr int64_t nothing_yet = -1;
/// After the others of a group that is being drained.
constexpr auto between_turns = std::chrono::seconds(1);

int64_t offset_in(const std::map<std::string, TopicPosition>& newest, const std::string& topic, int32_t partition) {
    auto held = newest.find(topic);
    if (held == newest.end()) return nothing_yet;
    auto at = held->second.partitions.find(partition);
    return at == held->second.partitions.end() ? nothing_yet : at->second.next;
}

}  // namespace

Status KafkaStream::join() {
    PN_TRY(auto member, Consumer::join(connection_, group_, memory_bytes_ / 4));
    consumer_.emplace(std::move(member));
    for (const auto& [topic, ranges] : ranges_)
        positions_[topic] = {.topic = topic, .cluster = cluster_, .partitions = {}};
    return consumer_->subscribe(names_);
}

/// Nothing is given back before what was read of it is durable.
Status KafkaStream::answer() {
    using Kind = Group::Change::Kind;
    const auto& change = consumer_->change();
    if (!change) return look_elsewhere();
    elsewhere_ = false;
    if (change->kind == Kind::given) return take_over();
    bool lost = change->kind == Kind::lost;
    if (!lost && taken_) return {};  // hurried() says so
    for (const auto& [topic, partition] : change->partitions) {
        log::debug("partition {} of {} is {}", partition, topic, lost ? "lost" : "given to another process");
        positions_.at(topic).partitions.erase(partition);
        durable_.erase({topic, partition});
        ended_.erase({topic, partition});
    }
    PN_CHECK(consumer_->release());
    if (!lost || !taken_) return {};
    return fail(flow::part_moved(
        fmt::format("group {} has taken this process for dead, and given its partitions to others", group_)));
}

/// A new member has nothing until others have let go of it: whoever drains waits for all partitions, whoever reads them.
Status KafkaStream::look_elsewhere() {
    auto now = std::chrono::steady_clock::now();
    if (!asked_ || elsewhere_ || now < next_look_ || !part_drained()) return {};
    next_look_ = now + between_turns;
    PN_TRY(auto position, newest_());
    std::map<std::string, TopicPosition> newest;
    if (position) {
        PN_TRY(newest, parse(*position));
    }
    for (const auto& [topic, ranges] : ranges_)
        for (const auto& [partition, range] : ranges) {
            bool ours = positions_.at(topic).partitions.contains(partition);
            bool empty = range.begin == range.end;
            if (!ours && !empty && offset_in(newest, topic, partition) < range.end) return {};
        }
    elsewhere_ = true;
    return {};
}

/// From where the target is by now: whoever had the partition before has committed what he had of it, or never will.
Status KafkaStream::take_over() {
    PN_TRY(auto position, newest_());
    std::map<std::string, TopicPosition> newest;
    if (position) {
        PN_TRY(newest, parse(*position));
    }
    const auto& given = consumer_->change()->partitions;
    std::map<std::string, std::map<int32_t, OffsetRange>> ranges;
    std::vector<int64_t> offsets;
    for (const auto& [topic, partition] : given) {
        if (!ranges.contains(topic)) {
            PN_TRY(ranges[topic], consumer_->ranges(topic));
        }
        const auto& range = ranges[topic];
        if (!range.contains(partition))
            return fail(flow::part_moved(fmt::format("partition {} of topic {} is not there yet", partition, topic)));
        int64_t held = offset_in(newest, topic, partition);
        auto& at = positions_.at(topic).partitions[partition];
        at = held == nothing_yet ? PartitionPosition{.next = range.at(partition).begin}
                                 : newest.at(topic).partitions.at(partition);
        TopicPosition alone{.topic = topic, .cluster = cluster_, .partitions = {{partition, at}}};
        PN_CHECK(check_offsets(alone, range));
        durable_[{topic, partition}] = held;
        offsets.push_back(at.next);
        log::debug("partition {} of {} is read from offset {} on", partition, topic, at.next);
    }
    joined_ = true;
    return consumer_->accept(offsets);
}

bool KafkaStream::hurried() const {
    return shared() && consumer_->change() && consumer_->change()->kind != Group::Change::Kind::given;
}

/// A partition that has been moved on by somebody else since it was read is not committed again.
Result<std::string> KafkaStream::merge(const std::optional<std::string>& position) {
    std::map<std::string, TopicPosition> newest;
    if (position) {
        PN_TRY(newest, parse(*position));
    }
    for (const auto& [topic, ours] : positions_) {
        auto& into = newest[topic];
        into.topic = topic;
        into.cluster = cluster_;
        for (const auto& [partition, at] : ours.partitions) {
            int64_t durable = durable_.at({topic, partition});
            if (at.next == durable) continue;
            int64_t found = offset_in(newest, topic, partition);
            if (found != durable)
                return fail(
                    flow::part_moved(fmt::format("partition {} of topic {} was read from offset {} on, and another "
                                                 "process has committed it up to {}",
                                                 partition, topic, std::max<int64_t>(durable, 0), found)));
            into.partitions[partition] = at;
        }
    }
    Ordered out = Ordered::array();
    for (const auto& [topic, held] : newest)
        if (!held.partitions.empty()) out.push_back(Ordered::parse(held.to_json()));
    return out.dump();
}

}  // namespace penstock::kafka
