#include "connect/kafka/topic_position.h"

#include <nlohmann/json.hpp>

namespace penstock::kafka {

std::string TopicPosition::to_json() const {
    nlohmann::json offsets = nlohmann::json::object(), marks = nlohmann::json::object();
    for (const auto& [partition, at] : partitions) {
        offsets[std::to_string(partition)] = at.next;
        if (at.last >= 0) marks[std::to_string(partition)] = {at.last, at.digest};
    }
    return nlohmann::json{
        {"cluster", cluster}, {"generation", generation}, {"marks", marks}, {"topics", {{topic, offsets}}}}
        .dump();
}

Result<TopicPosition> TopicPosition::from_json(const std::string& text) {
    auto json = nlohmann::json::parse(text, nullptr, false);
    try {
        TopicPosition out{.cluster = json.at("cluster"), .generation = json.at("generation")};
        for (const auto& [topic, offsets] : json.at("topics").items()) {
            out.topic = topic;
            for (const auto& [partition, next] : offsets.items()) out.partitions[std::stoi(partition)].next = next;
        }
        for (const auto& [partition, mark] : json.at("marks").items()) {
            auto& at = out.partitions.at(std::stoi(partition));
            at.last = mark.at(0);
            at.digest = mark.at(1);
        }
        if (!out.topic.empty()) return out;
    } catch (const std::exception&) {  // said below
    }
    return fail({.kind = ErrorKind::configuration,
                 .code = "other_checkpoint",
                 .message =
                     "the target's checkpoint is not one of a Kafka topic: another kind of pipeline has loaded this "
                     "table under the same name",
                 .hint = "give the pipeline another name or target, or run once with --full-refresh"});
}

}  // namespace penstock::kafka
