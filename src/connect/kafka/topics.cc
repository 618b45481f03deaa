#include "connect/kafka/topics.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <thread>

#include "base/log.h"

namespace penstock::kafka {
namespace {

using Queue = std::unique_ptr<rd_kafka_queue_t, decltype(&rd_kafka_queue_destroy)>;
using Event = std::unique_ptr<rd_kafka_event_t, decltype(&rd_kafka_event_destroy)>;
using Options = std::unique_ptr<rd_kafka_AdminOptions_t, decltype(&rd_kafka_AdminOptions_destroy)>;

Options admin_options(const Client& client, rd_kafka_admin_op_t operation) {
    Options options(rd_kafka_AdminOptions_new(client.handle(), operation), rd_kafka_AdminOptions_destroy);
    std::array<char, 256> words{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), client.timeout_ms(), words.data(), words.size());
    return options;
}

Result<Event> answer(const Client& client, const Queue& queue, std::string_view doing) {
    Event event(rd_kafka_queue_poll(queue.get(), client.timeout_ms() + 1'000), rd_kafka_event_destroy);
    if (event == nullptr) return fail(client.error(RD_KAFKA_RESP_ERR__TIMED_OUT, doing));
    if (auto code = rd_kafka_event_error(event.get()); code != 0)
        return fail(client.error(code, doing, rd_kafka_event_error_string(event.get())));
    return event;
}

Queue new_queue(const Client& client) { return {rd_kafka_queue_new(client.handle()), rd_kafka_queue_destroy}; }

struct NewTopicDeleter {
    void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
};
using NewTopicPtr = std::unique_ptr<rd_kafka_NewTopic_t, NewTopicDeleter>;

Result<NewTopicPtr> describe(const NewTopic& topic) {
    std::array<char, 256> words{};
    NewTopicPtr made(
        rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions, topic.replication, words.data(), words.size()));
    if (made == nullptr)
        return fail({.kind = ErrorKind::configuration,
                     .code = "bad_topic",
                     .message = fmt::format("topic {} cannot be: {}", topic.name, words.data())});
    for (const auto& [name, value] : topic.config)
        rd_kafka_NewTopic_set_config(made.get(), name.c_str(), value.c_str());
    return made;
}

/// A broker that was not asked may learn of a topic a little later.
Status await_topics(const Client& client, const std::vector<std::string>& names) {
    auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(client.timeout_ms());
    while (true) {
        PN_TRY(auto counts, partition_counts(client, names));
        bool all = true;
        for (const auto& [name, count] : counts) all = all && count > 0;
        if (all) return {};
        if (std::chrono::steady_clock::now() > give_up)
            return fail(client.error(RD_KAFKA_RESP_ERR__TIMED_OUT, "waiting for new topics"));
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

}  // namespace

Result<std::map<std::string, int>> partition_counts(const Client& client, const std::vector<std::string>& topics) {
    std::map<std::string, int> out;
    for (const auto& name : topics) out[name] = 0;
    const rd_kafka_metadata_t* raw = nullptr;
    auto code = rd_kafka_metadata(client.handle(), 1, nullptr, &raw, client.timeout_ms());
    if (code != 0) return fail(client.error(code, "asking for topics"));
    std::unique_ptr<const rd_kafka_metadata_t, decltype(&rd_kafka_metadata_destroy)> metadata(
        raw, rd_kafka_metadata_destroy);
    for (int i = 0; i < raw->topic_cnt; ++i) {
        const auto& topic = raw->topics[i];
        if (auto found = out.find(topic.topic); found != out.end() && topic.err == 0)
            found->second = topic.partition_cnt;
    }
    return out;
}

Status create_topics(const Client& client, const std::vector<NewTopic>& topics) {
    if (topics.empty()) return {};
    std::vector<NewTopicPtr> made;
    std::vector<rd_kafka_NewTopic_t*> raw;
    std::vector<std::string> names;
    for (const auto& topic : topics) {
        PN_TRY(auto one, describe(topic));
        raw.push_back(one.get());
        made.push_back(std::move(one));
        names.push_back(topic.name);
    }
    auto queue = new_queue(client);
    auto options = admin_options(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(client.handle(), raw.data(), raw.size(), options.get(), queue.get());
    PN_TRY(auto event, answer(client, queue, "creating topics"));
    size_t count = 0;
    auto results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
    for (size_t i = 0; i < count; ++i) {
        auto code = rd_kafka_topic_result_error(results[i]);
        if (code == 0 || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
        const char* words = rd_kafka_topic_result_error_string(results[i]);
        Error error = client.error(code, fmt::format("creating topic {}", rd_kafka_topic_result_name(results[i])),
                                   words == nullptr ? "" : words);
        if (code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR || code == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS ||
            code == RD_KAFKA_RESP_ERR_INVALID_CONFIG || code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
            error.kind = ErrorKind::configuration;
            error.hint = "look at topic, partitions, replication and topic_config of the target";
        }
        return fail(std::move(error));
    }
    return await_topics(client, names);
}

Result<std::map<std::string, int64_t>> message_limits(const Client& client, const std::vector<std::string>& topics) {
    std::map<std::string, int64_t> out;
    std::vector<std::unique_ptr<rd_kafka_ConfigResource_t, decltype(&rd_kafka_ConfigResource_destroy)>> kept;
    std::vector<rd_kafka_ConfigResource_t*> raw;
    for (const auto& name : topics) {
        kept.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()),
                          rd_kafka_ConfigResource_destroy);
        raw.push_back(kept.back().get());
    }
    if (raw.empty()) return out;
    auto queue = new_queue(client);
    auto options = admin_options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(client.handle(), raw.data(), raw.size(), options.get(), queue.get());
    PN_TRY(auto event, answer(client, queue, "asking for the settings of topics"));
    size_t count = 0;
    auto resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event.get()), &count);
    for (size_t i = 0; i < count; ++i) {
        std::string name = rd_kafka_ConfigResource_name(resources[i]);
        if (rd_kafka_ConfigResource_error(resources[i]) != 0) {
            log::debug("the settings of topic {} cannot be read: {}", name,
                       rd_kafka_ConfigResource_error_string(resources[i]));
            continue;
        }
        size_t entries = 0;
        auto configs = rd_kafka_ConfigResource_configs(resources[i], &entries);
        for (size_t e = 0; e < entries; ++e) {
            if (std::string_view(rd_kafka_ConfigEntry_name(configs[e])) != "max.message.bytes") continue;
            std::string_view value = rd_kafka_ConfigEntry_value(configs[e]);
            std::from_chars(value.data(), value.data() + value.size(), out[name]);
        }
    }
    return out;
}

}  // namespace penstock::kafka
