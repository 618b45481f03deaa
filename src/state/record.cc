#include "state/record.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/secret.h"

namespace penstock::state {
namespace {

using Json = nlohmann::ordered_json;

/// Texts may come from a source that is not UTF-8; the history must be readable all the same.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json counts_to_json(const flow::Counts& counts) {
    return {{"rows_read", counts.rows_read},         {"rows_written", counts.rows_written},
            {"rows_rejected", counts.rows_rejected}, {"rows_filtered", counts.rows_filtered},
            {"rows_deleted", counts.rows_deleted},   {"bytes_read", counts.bytes_read},
            {"bytes_written", counts.bytes_written}};
}

flow::Counts counts_from_json(const Json& json) {
    auto number = [&](const char* name) { return json.value(name, int64_t{0}); };
    return {.rows_read = number("rows_read"),
            .rows_written = number("rows_written"),
            .rows_rejected = number("rows_rejected"),
            .rows_filtered = number("rows_filtered"),
            .rows_deleted = number("rows_deleted"),
            .bytes_read = number("bytes_read"),
            .bytes_written = number("bytes_written")};
}

Json decision_to_json(const flow::SchemaDecision& decision) {
    return {{"column", decision.column},
            {"change", decision.change},
            {"decision", decision.decision},
            {"sql", decision.sql},
            {"detail", decision.detail}};
}

flow::SchemaDecision decision_from_json(const Json& json) {
    return {.column = json.value("column", ""),
            .change = json.value("change", ""),
            .decision = json.value("decision", ""),
            .sql = json.value("sql", ""),
            .detail = json.value("detail", "")};
}

Json check_to_json(const flow::ValidationRecord& record) {
    const auto& one = record.validation;
    return {{"check", one.check},
            {"expectation", one.expectation},
            {"column", one.column},
            {"rows", one.rows},
            {"severity", one.severity},
            {"on_fail", one.on_fail},
            {"success", one.success},
            {"observed", one.observed},
            {"element_count", one.element_count},
            {"unexpected_count", one.unexpected_count},
            {"unexpected_sample", one.unexpected_sample},
            {"compared", one.compared},
            {"series", one.series},
            {"published", record.published}};
}

flow::ValidationRecord check_from_json(const Json& json) {
    flow::ValidationRecord record{.published = json.value("published", false)};
    auto& one = record.validation;
    one.check = json.value("check", "");
    one.expectation = json.value("expectation", "");
    one.column = json.value("column", "");
    one.rows = json.value("rows", "");
    one.severity = json.value("severity", "");
    one.on_fail = json.value("on_fail", "");
    one.success = json.value("success", false);
    one.observed = json.value("observed", "");
    one.element_count = json.value("element_count", int64_t{0});
    one.unexpected_count = json.value("unexpected_count", int64_t{0});
    one.unexpected_sample = json.value("unexpected_sample", "");
    one.compared = json.value("compared", "");
    one.series = json.value("series", "");
    return record;
}

Json table_to_json(const flow::TableResult& table) {
    Json json = {{"source", table.source}, {"target", table.target}, {"counts", counts_to_json(table.counts)}};
    json["cursor_from"] = table.checkpoint.cursor_from;
    json["cursor_to"] = table.checkpoint.cursor_to;
    json["position"] = table.checkpoint.position;
    json["read_at"] = table.checkpoint.read_at.time_since_epoch().count();
    json["duration_seconds"] = table.duration.count();
    json["notes"] = table.notes;
    json["checks"] = Json::array();
    for (const auto& record : table.validations) json["checks"].push_back(check_to_json(record));
    json["decisions"] = Json::array();
    for (const auto& decision : table.decisions) json["decisions"].push_back(decision_to_json(decision));
    return json;
}

flow::TableResult table_from_json(const Json& json) {
    flow::TableResult table;
    table.source = json.value("source", "");
    table.target = json.value("target", "");
    table.counts = counts_from_json(json.value("counts", Json::object()));
    table.checkpoint.cursor_from = json.value("cursor_from", "");
    table.checkpoint.cursor_to = json.value("cursor_to", "");
    table.checkpoint.position = json.value("position", "");
    table.checkpoint.read_at = TimePoint(std::chrono::microseconds(json.value("read_at", int64_t{0})));
    table.duration = std::chrono::duration<double>(json.value("duration_seconds", 0.0));
    table.notes = json.value("notes", std::vector<std::string>());
    for (const auto& check : json.value("checks", Json::array())) table.validations.push_back(check_from_json(check));
    for (const auto& decision : json.value("decisions", Json::array()))
        table.decisions.push_back(decision_from_json(decision));
    return table;
}

/// What is kept is read by others later, in processes that know of no secret.
Json error_to_json(const Error& error) {
    Json json = {{"kind", to_string(error.kind)},
                 {"code", error.code},
                 {"message", redact(error.message)},
                 {"where", redact(error.where)},
                 {"hint", redact(error.hint)}};
    if (error.cause != nullptr) json["cause"] = error_to_json(*error.cause);
    return json;
}

ErrorKind kind_named(std::string_view name) {
    for (int kind = 0; kind <= static_cast<int>(ErrorKind::internal); ++kind)
        if (to_string(static_cast<ErrorKind>(kind)) == name) return static_cast<ErrorKind>(kind);
    return ErrorKind::internal;
}

Error make_error(const Json& json) {
    Error error{.kind = kind_named(json.value("kind", "")),
                .code = json.value("code", ""),
                .message = json.value("message", ""),
                .where = json.value("where", ""),
                .hint = json.value("hint", "")};
    if (json.contains("cause")) error.cause = std::make_shared<const Error>(make_error(json.at("cause")));
    return error;
}

Error unreadable(const std::exception& error) {
    return {.kind = ErrorKind::internal,
            .code = "state_record",
            .message = fmt::format("a recorded run cannot be read: {}", error.what())};
}

}  // namespace

flow::Counts RunRecord::counts() const {
    flow::Counts sum;
    for (const auto& table : tables) sum += table.counts;
    return sum;
}

std::string to_json(const std::vector<flow::TableResult>& tables) {
    Json json = Json::array();
    for (const auto& table : tables) json.push_back(table_to_json(table));
    return dump(json);
}

Result<std::vector<flow::TableResult>> tables_from_json(std::string_view text) try {
    std::vector<flow::TableResult> tables;
    for (const auto& table : Json::parse(text)) tables.push_back(table_from_json(table));
    return tables;
} catch (const std::exception& error) {
    return fail(unreadable(error));
}

std::string to_json(const Error& error) { return dump(error_to_json(error)); }

Result<Error> error_from_json(std::string_view text) try {
    return make_error(Json::parse(text));
} catch (const std::exception& error) {
    return fail(unreadable(error));
}

Error crashed() {
    return {.kind = ErrorKind::interrupted,
            .code = "crashed",
            .message = "interrupted by a crash",
            .hint = "run it again: it goes on from what was committed"};
}

}  // namespace penstock::state
