#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "connect/kafka/client.h"
#include "connect/kafka/topic.h"

namespace penstock::kafka {
namespace {

/// How far back from the newest message an event is looked for at first: markers of transactions and tombstones are none.
constexpr int64_t few_messages = 100;

class Sampler {
  public:
    Sampler(Consumer& consumer, const std::string& topic, const debezium::DecodeOptions& options, std::stop_token stop)
        : consumer_(consumer), topic_(topic), options_(options), stop_(std::move(stop)) {}

    Result<std::optional<Sample>> from(const std::map<int32_t, int64_t>& offsets) {
        std::vector<Consumer::Start> starts;
        for (auto [partition, offset] : offsets) starts.push_back({topic_, partition, offset});
        PN_CHECK(consumer_.assign(starts));
        std::set<int32_t> ended;
        while (ended.size() < offsets.size()) {
            if (stop_.stop_requested())
                return fail({.kind = ErrorKind::interrupted,
                             .code = "interrupted",
                             .message = "stopped while looking at a topic"});
            PN_TRY(auto message, consumer_.poll(100));
            if (!message) continue;
            if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                ended.insert(message->partition);
                continue;
            }
            PN_TRY(auto sample, of(*message));
            if (sample) return sample;
        }
        return std::nullopt;
    }

  private:
    Result<std::optional<Sample>> of(const rd_kafka_message_t& message) {
        flow::TextStore texts;
        auto keep = [&](const void* bytes, size_t size) { return texts.keep(bytes_of(bytes, size)); };
        auto text = keep(message.payload, message.len), key_text = keep(message.key, message.key_len);
        debezium::Splitter values, keys;
        auto value = text.empty() ? Result<debezium::Split>(debezium::Split{}) : values.split(text);
        auto key = key_text.empty() ? Result<debezium::Split>(debezium::Split{}) : keys.split(key_text);
        if (!value || !key || value->payload.empty()) return std::nullopt;
        char op = debezium::operation_of(value->payload);
        if (op != 'c' && op != 'u' && op != 'd' && op != 'r') return std::nullopt;
        if (op == 'd' && value->schema.empty()) return std::nullopt;  // says nothing of its columns
        Sample sample;
        PN_TRY(auto table,
               debezium::EventTable::make(table_of_topic(topic_), value->schema, *key, value->payload, options_));
        sample.table = std::make_shared<const debezium::EventTable>(std::move(table));
        sample.source_table = debezium::table_of(value->payload);
        return sample;
    }

    Consumer& consumer_;
    const std::string& topic_;
    const debezium::DecodeOptions& options_;
    std::stop_token stop_;
};

}  // namespace

Result<std::optional<Sample>> sample_topic(Consumer& consumer, const std::string& topic,
                                           const std::map<int32_t, OffsetRange>& ranges,
                                           const std::map<int32_t, int64_t>& hint,
                                           const debezium::DecodeOptions& options, std::stop_token stop) {
    Sampler sampler(consumer, topic, options, std::move(stop));
    std::map<int32_t, int64_t> first, near, newest;
    for (const auto& [partition, range] : ranges) {
        if (range.begin == range.end) continue;
        auto known = hint.find(partition);
        int64_t at = known == hint.end() ? range.begin : std::clamp(known->second, range.begin, range.end);
        if (at < range.end) first[partition] = at;
        near[partition] = std::max(range.begin, at - few_messages);
        newest[partition] = range.begin;
    }
    for (const auto& offsets : {first, near, newest}) {
        if (offsets.empty()) continue;
        PN_TRY(auto sample, sampler.from(offsets));
        if (sample) return sample;
    }
    return std::nullopt;
}

}  // namespace penstock::kafka
