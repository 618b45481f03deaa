#include "connect/kafka/bookkeeping.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "connect/kafka/topic_reader.h"

namespace penstock::kafka {
namespace {

using Json = nlohmann::json;

/// Room for a reject's key, for what Kafka adds, and for the time when it is dealt with.
constexpr int64_t around_record = 1'024;

int64_t micros(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint time_of(const Json& json, const char* name) {
    return TimePoint(std::chrono::microseconds(json.value(name, int64_t{0})));
}

/// Rows may hold anything; what is no UTF-8 is replaced here, where people read.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json to_json(const flow::BatchRecord& batch) {
    const auto& at = batch.checkpoint;
    const auto& counts = batch.counts;
    return {{"pipeline", batch.pipeline},
            {"run_id", batch.run_id},
            {"batch", batch.batch},
            {"source", batch.source},
            {"target", batch.target},
            {"cursor_from", at.cursor_from},
            {"cursor_to", at.cursor_to},
            {"position", at.position},
            {"read_at_us", micros(at.read_at)},
            {"rows_read", counts.rows_read},
            {"rows_written", counts.rows_written},
            {"rows_rejected", counts.rows_rejected},
            {"rows_filtered", counts.rows_filtered},
            {"rows_deleted", counts.rows_deleted},
            {"bytes_read", counts.bytes_read},
            {"bytes_written", counts.bytes_written},
            {"committed_at_us", micros(batch.committed_at)}};
}

flow::BatchRecord batch_of(const Json& json) {
    flow::BatchRecord batch{.pipeline = json.at("pipeline"),
                            .run_id = json.value("run_id", ""),
                            .batch = json.value("batch", int64_t{0}),
                            .source = json.at("source"),
                            .target = json.at("target"),
                            .checkpoint = {.cursor_from = json.value("cursor_from", ""),
                                           .cursor_to = json.value("cursor_to", ""),
                                           .position = json.at("position")},
                            .counts = {.rows_read = json.value("rows_read", int64_t{0}),
                                       .rows_written = json.value("rows_written", int64_t{0}),
                                       .rows_rejected = json.value("rows_rejected", int64_t{0}),
                                       .rows_filtered = json.value("rows_filtered", int64_t{0}),
                                       .rows_deleted = json.value("rows_deleted", int64_t{0}),
                                       .bytes_read = json.value("bytes_read", int64_t{0}),
                                       .bytes_written = json.value("bytes_written", int64_t{0})}};
    batch.checkpoint.read_at = time_of(json, "read_at_us");
    batch.committed_at = time_of(json, "committed_at_us");
    return batch;
}

Json to_json(const flow::RejectRecord& record) {
    const auto& reject = record.reject;
    return {{"id", record.id},
            {"pipeline", record.pipeline},
            {"run_id", record.run_id},
            {"table", reject.table},
            {"route", reject.route},
            {"source_position", reject.source_position},
            {"key", reject.key},
            {"column", reject.column},
            {"code", reject.code},
            {"reason", reject.reason},
            {"payload", reject.payload},
            {"received_at_us", micros(reject.received_at)},
            {"replayed_at_us", micros(record.replayed_at)},
            {"discarded_at_us", micros(record.discarded_at)}};
}

flow::RejectRecord reject_of(const Json& json) {
    flow::RejectRecord record{
        .id = json.at("id"), .pipeline = json.at("pipeline"), .run_id = json.value("run_id", ""), .reject = {}};
    record.reject = {.table = json.value("table", ""),
                     .route = json.value("route", ""),
                     .source_position = json.value("source_position", ""),
                     .key = json.value("key", ""),
                     .column = json.value("column", ""),
                     .code = json.value("code", ""),
                     .reason = json.value("reason", ""),
                     .payload = json.value("payload", ""),
                     .received_at = time_of(json, "received_at_us")};
    record.replayed_at = time_of(json, "replayed_at_us");
    record.discarded_at = time_of(json, "discarded_at_us");
    return record;
}

Error unreadable(const std::string& topic, const Record& record, std::string_view why) {
    return {.kind = ErrorKind::refused,
            .code = "bookkeeping_unreadable",
            .message = fmt::format("a record of topic {} is not ours: {}", topic, why),
            .where = fmt::format("topic {}, partition {}, offset {}", topic, record.partition, record.offset),
            .hint = "nobody else may write to the bookkeeping topics; `bookkeeping:` of the target names others"};
}

/// The newest value of each key, in the order in which keys first came.
template <class T, class Read>
Result<std::vector<T>> newest_of(const ConnectionOptions& connection, const std::string& topic, std::stop_token stop,
                                 Read read) {
    std::vector<T> found;
    std::map<std::string, size_t, std::less<>> places;
    PN_CHECK(read_topic(connection, topic, stop, [&](const Record& record) -> Status {
        if (!record.key || !record.value) return {};
        try {
            T value = read(Json::parse(*record.value));
            auto [place, fresh] = places.emplace(*record.key, found.size());
            if (fresh) found.push_back(std::move(value));
            else found[place->second] = std::move(value);
        } catch (const Json::exception& error) {
            return fail(unreadable(topic, record, error.what()));
        }
        return {};
    }));
    return found;
}

bool matches(const flow::RejectFilter& filter, const flow::RejectRecord& record) {
    return (filter.pipeline.empty() || filter.pipeline == record.pipeline) &&
           (filter.table.empty() || filter.table == record.reject.table) &&
           (filter.ids.empty() || std::ranges::find(filter.ids, record.id) != filter.ids.end()) &&
           (!filter.open_only || record.open());
}

}  // namespace

Result<std::vector<flow::BatchRecord>> Bookkeeping::batches(std::string_view pipeline, std::stop_token stop) const {
    PN_TRY(auto found, newest_of<flow::BatchRecord>(connection_, topics_.checkpoints, stop, batch_of));
    std::erase_if(found, [&](const auto& batch) { return !pipeline.empty() && batch.pipeline != pipeline; });
    return found;
}

Result<std::vector<flow::RejectRecord>> Bookkeeping::rejects(const flow::RejectFilter& filter,
                                                             std::stop_token stop) const {
    PN_TRY(auto found, newest_of<flow::RejectRecord>(connection_, topics_.rejects, stop, reject_of));
    std::erase_if(found, [&](const auto& record) { return !matches(filter, record); });
    if (filter.limit >= 0 && found.size() > static_cast<size_t>(filter.limit))
        found.erase(found.begin(), found.end() - filter.limit);
    return found;
}

Status Bookkeeping::write_batch(Producer& producer, const flow::BatchRecord& batch) const {
    auto key = dump({{"pipeline", batch.pipeline}, {"source", batch.source}, {"target", batch.target}});
    auto value = dump(to_json(batch));
    PN_CHECK(producer.send({.topic = topics_.checkpoints, .key = key, .value = value, .partition = 0}, {}));
    return producer.send({.topic = topics_.batches, .key = batch.pipeline, .value = value}, {});
}

Status Bookkeeping::write_reject(Producer& producer, flow::RejectRecord reject, int64_t limit) const {
    auto value = dump(to_json(reject));
    auto most = static_cast<size_t>(std::max<int64_t>(limit - around_record, 0));
    if (value.size() > most) {
        auto& payload = reject.reject.payload;
        reject.reject.reason += fmt::format(" (of its {} bytes only the first are kept here)", payload.size());
        // Escaped, a byte takes six at most.
        payload.resize(std::min(payload.size(), most / 8));
        value = dump(to_json(reject));
    }
    return producer.send({.topic = topics_.rejects, .key = reject.id, .value = value, .partition = 0}, {});
}

}  // namespace penstock::kafka
