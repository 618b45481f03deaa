// What a topic's messages say of their table.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "transform/debezium/decode.h"

namespace penstock::debezium {
namespace {

namespace ondemand = simdjson::ondemand;

Error no_json(const char* why) {
    return {.kind = ErrorKind::data, .code = "bad_json", .message = fmt::format("a message is no valid JSON: {}", why)};
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view spaces = " \n\r\t";
    while (!text.empty() && spaces.find(text.front()) != spaces.npos) text.remove_prefix(1);
    while (!text.empty() && spaces.find(text.back()) != spaces.npos) text.remove_suffix(1);
    return text;
}

std::string_view or_nothing(std::string_view payload) { return payload == "null" ? std::string_view() : payload; }

/// A guess at what a column may be, to begin from.
std::string guess(const nlohmann::ordered_json& value) {
    if (value.is_boolean()) return "boolean";
    if (value.is_number_integer()) return "bigint";
    if (value.is_number()) return "double";
    if (value.is_array()) return "text[]";
    if (value.is_object()) return "numeric";
    return "text";
}

/// The names of an object's fields, with types to begin from.
std::vector<std::pair<std::string, std::string>> fields_of(std::string_view payload, const char* side) {
    std::vector<std::pair<std::string, std::string>> out;
    auto json = nlohmann::ordered_json::parse(payload, nullptr, false);
    if (side != nullptr && json.is_object() && json.contains(side)) json = nlohmann::ordered_json(json[side]);
    if (!json.is_object()) return out;
    for (const auto& [name, value] : json.items()) out.emplace_back(name, guess(value));
    return out;
}

Error columns_unknown(const std::string& name, std::string_view sample) {
    std::string proposal;
    for (const auto& [column, type] : fields_of(sample, "after"))
        proposal += fmt::format("{}{}: {}", proposal.empty() ? "" : ", ", column, type);
    if (proposal.empty()) proposal = "id: bigint, name: text";
    return {.kind = ErrorKind::configuration,
            .code = "columns_unknown",
            .message = fmt::format(
                "the events of {} come without schema, and nothing says of what types their columns are", name),
            .where = "table " + name,
            .hint = fmt::format(
                "name them in the source, with the types of the database's table, for instance columns: {{{}}}; "
                "or have the events written with schemas (value.converter.schemas.enable=true)",
                proposal)};
}

Error key_unknown(const std::string& name, const std::string& column) {
    return {
        .kind = ErrorKind::configuration,
        .code = "key_not_in_columns",
        .message = fmt::format("the messages of {} have {} in their key, which is no column of theirs", name, column),
        .where = "table " + name,
        .hint =
            "add it to `columns` of the source, or set message.key.columns of the connector to columns of the table"};
}

}  // namespace

Result<Split> Splitter::split(std::string_view message) {
    if (!start_.empty() && message.size() > start_.size() && message.starts_with(start_) && message.ends_with('}'))
        return Split{message.substr(schema_at_, schema_size_),
                     or_nothing(trimmed(message.substr(start_.size(), message.size() - start_.size() - 1)))};
    ondemand::parser parser;
    ondemand::document document;
    ondemand::object object;
    auto error = parser.iterate(message, message.size() + padding).get(document);
    if (!error) error = document.get_object().get(object);
    if (error) return fail(no_json(simdjson::error_message(error)));
    Split out;
    bool both = false;
    size_t count = 0;
    for (auto entry : object) {
        ondemand::field field;
        ondemand::value value;
        std::string_view key, json;
        if (error = std::move(entry).get(field); error) return fail(no_json(simdjson::error_message(error)));
        if (error = field.unescaped_key().get(key); error) return fail(no_json(simdjson::error_message(error)));
        if (++count > 2 || (key != "schema" && key != "payload")) return Split{"", trimmed(message)};
        value = field.value();
        json = value.raw_json_token();
        ondemand::object inner;
        if (json.starts_with('{') && (error = value.get_object().get(inner), !error))
            error = inner.raw_json().get(json);
        if (error) return fail(no_json(simdjson::error_message(error)));
        json = trimmed(json);
        (key == "schema" ? out.schema : out.payload) = json;
        both = count == 2;
    }
    if (!both || out.payload.empty()) return Split{"", trimmed(message)};
    out.schema = or_nothing(out.schema);
    size_t payload_at = static_cast<size_t>(out.payload.data() - message.data());
    bool usual = !out.schema.empty() && out.schema.data() < out.payload.data() && message.ends_with('}') &&
                 trimmed(message.substr(payload_at, message.size() - payload_at - 1)) == out.payload;
    if (usual) {
        start_ = message.substr(0, payload_at);
        schema_at_ = static_cast<size_t>(out.schema.data() - message.data());
        schema_size_ = out.schema.size();
    }
    out.payload = or_nothing(out.payload);
    return out;
}

Result<EventTable> EventTable::make(const std::string& name, std::string_view schema, const Split& key,
                                    std::string_view sample, DecodeOptions options) {
    EventTable table;
    table.info.name = name;
    table.info.changes = true;
    table.options = std::move(options);
    table.with_schema = !schema.empty();
    if (schema.empty()) {
        if (table.options.columns.empty()) return fail(columns_unknown(name, sample));
        PN_TRY(table.columns, columns_of_options(name, table.options));
    } else {
        PN_TRY(table.columns, columns_of_schema(schema, name, table.options));
    }
    std::vector<std::string> names;
    if (!key.schema.empty()) {
        PN_TRY(names, key_of_schema(key.schema));
    } else {
        for (auto& [column, type] : fields_of(key.payload, nullptr)) names.push_back(column);
    }
    for (const auto& column : names) {
        auto found = std::ranges::find(table.columns, column, [](const auto& shape) { return shape.field.name; });
        if (found == table.columns.end()) return fail(key_unknown(name, column));
        found->field.nullable = false;
        found->placeholders.clear();
        table.key.push_back(static_cast<size_t>(found - table.columns.begin()));
    }
    table.info.key = std::move(names);
    table.info.key_is_unique = !table.key.empty();
    for (const auto& column : table.columns) {
        table.info.schema.fields.push_back(column.field);
        if (!column.field.note.empty())
            table.info.notes.push_back(fmt::format("{}: {}", column.field.name, column.field.note));
    }
    return table;
}

bool EventTable::same_shape(const EventTable& other) const {
    auto same = [](const ColumnShape& left, const ColumnShape& right) {
        const Shape &a = left.shape, &b = right.shape;
        return left.field == right.field && left.field.nullable == right.field.nullable &&
               left.field.source_type == right.field.source_type && a.wire == b.wire && a.scale == b.scale &&
               a.per_second == b.per_second && a.names == b.names;
    };
    return info.key == other.info.key && std::ranges::equal(columns, other.columns, same);
}

char operation_of(std::string_view payload) {
    ondemand::parser parser;
    ondemand::document document;
    std::string_view op;
    if (parser.iterate(payload, payload.size() + padding).get(document) != simdjson::SUCCESS) return 0;
    if (document.find_field_unordered("op").get_string().get(op) != simdjson::SUCCESS || op.size() != 1) return 0;
    return op[0];
}

std::string table_of(std::string_view payload) {
    ondemand::parser parser;
    ondemand::document document;
    ondemand::object source;
    if (parser.iterate(payload, payload.size() + padding).get(document) != simdjson::SUCCESS) return "";
    if (document.find_field_unordered("source").get_object().get(source) != simdjson::SUCCESS) return "";
    std::string out;
    for (const char* part : {"schema", "table"}) {
        std::string_view text;
        if (source.find_field_unordered(part).get_string().get(text) != simdjson::SUCCESS) return "";
        if (!out.empty()) out += '.';
        out += text;
    }
    return out;
}

std::string canonical(std::string_view json) {
    std::string out;
    bool quoted = false;
    for (size_t i = 0; i < json.size(); ++i) {
        char c = json[i];
        if (!quoted && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) continue;
        if (c == '"') quoted = !quoted;
        out += c;
        if (quoted && c == '\\' && i + 1 < json.size()) out += json[++i];
    }
    return out;
}

}  // namespace penstock::debezium
