#include "app/run_json.h"

#include <nlohmann/json.hpp>

#include "app/output.h"

namespace penstock::app {

using Json = nlohmann::ordered_json;

namespace {

/// Where a source stands, in its own words.
Json position_json(const flow::Checkpoint& checkpoint) {
    auto position = Json::parse(checkpoint.position, nullptr, false);
    Json lsn = position.is_object() && position.contains("lsn") ? position["lsn"] : Json(nullptr);
    return {{"lsn", lsn}};
}

Json cursor_json(const flow::Checkpoint& checkpoint) {
    return {{"from", text_or_null(checkpoint.cursor_from)}, {"to", text_or_null(checkpoint.cursor_to)}};
}

Json json_or_null(const std::string& text) {
    auto json = Json::parse(text.empty() ? "null" : text, nullptr, false);
    return json.is_discarded() ? Json(text) : json;
}

Json checks_json(const std::vector<flow::ValidationRecord>& records) {
    Json list = Json::array();
    for (const auto& [pipeline, run_id, published, one] : records)
        list.push_back({{"check", one.check},
                        {"expectation", one.expectation},
                        {"column", text_or_null(one.column)},
                        {"rows", one.rows},
                        {"severity", one.severity},
                        {"on_fail", one.on_fail},
                        {"success", one.success},
                        {"observed", json_or_null(one.observed)},
                        {"compared_with", text_or_null(one.compared)},
                        {"element_count", one.element_count},
                        {"unexpected_count", one.unexpected_count},
                        {"unexpected_sample", json_or_null(one.unexpected_sample)},
                        {"published", published}});
    return list;
}

Json decisions_json(const std::vector<flow::SchemaDecision>& decisions) {
    Json list = Json::array();
    for (const auto& decision : decisions)
        list.push_back({{"column", text_or_null(decision.column)},
                        {"change", decision.change},
                        {"decision", decision.decision},
                        {"sql", text_or_null(decision.sql)},
                        {"detail", text_or_null(decision.detail)}});
    return list;
}

}  // namespace

nlohmann::ordered_json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json known_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
Json known_json(const std::optional<TimePoint>& value) { return value ? Json(iso_time(*value)) : Json(nullptr); }

Json counts_json(const flow::Counts& counts) {
    return {{"rows_read", counts.rows_read},         {"rows_written", counts.rows_written},
            {"rows_rejected", counts.rows_rejected}, {"rows_filtered", counts.rows_filtered},
            {"rows_deleted", counts.rows_deleted},   {"bytes_read", counts.bytes_read},
            {"bytes_written", counts.bytes_written}};
}

Json table_json(const flow::TableResult& table) {
    Json json = {{"table", table.source}, {"target", table.target}};
    json.update(counts_json(table.counts));
    json["duration_seconds"] = table.duration.count();
    json["cursor"] = cursor_json(table.checkpoint);
    json["position"] = position_json(table.checkpoint);
    json["decisions"] = decisions_json(table.decisions);
    json["notes"] = table.notes;
    json["checks"] = checks_json(table.validations);
    return json;
}

Json run_json(const flow::RunResult& result) {
    // Only a run of one table has one cursor.
    flow::Checkpoint checkpoint = result.tables.size() == 1 ? result.tables.front().checkpoint : flow::Checkpoint{};
    Json json = {{"pipeline", result.identity.pipeline},
                 {"run_id", text_or_null(result.identity.run_id)},
                 {"status", flow::to_string(result.status)}};
    json.update(counts_json(result.counts()));
    json["bytes_billed"] = result.spent.bytes_billed;
    json["slot_milliseconds"] = result.spent.slot_millis;
    json["cost_usd"] = result.cost_usd;
    json["deferred_until"] = result.deferred_until ? Json(iso_time(*result.deferred_until)) : Json(nullptr);
    json["started_at"] = iso_time(result.started_at);
    json["duration_seconds"] = result.duration.count();
    json["attempts"] = result.attempts;
    json["peak_memory_bytes"] = result.peak_memory_bytes;
    json["cursor"] = cursor_json(checkpoint);
    json["position"] = position_json(checkpoint);
    json["tables"] = Json::array();
    for (const auto& table : result.tables) json["tables"].push_back(table_json(table));
    json["error"] = result.error ? error_json(*result.error) : Json(nullptr);
    return json;
}

}  // namespace penstock::app
