#include "transform/events/document_reader.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

namespace penstock::events {
namespace {

/// What a refused event left in the row must not be seen by the next.
void forget(data::Column& column, size_t row) {
    column.set_valid(row);
    if (column.layout() != data::Layout::structure) return;
    for (auto& child : column.children()) forget(child, row);
}

void store_text(std::string_view text, data::Block& block, int column, size_t row) {
    block.columns[static_cast<size_t>(column)].values<data::StringRef>()[row] = data::StringRef(text);
}

}  // namespace

std::string column_of(std::string_view path) { return std::string(path.substr(0, path.find_first_of(".["))); }

bool DocumentReader::read(const flow::Message& message, const JsonIndex& index, data::Block& block, Refusal& refusal) {
    if (!refusal.code.empty()) refusal = {};
    if (!fill(message, index, block, refusal)) return refused(block, refusal);
    ++block.rows;
    return true;
}

bool DocumentReader::read_next(JsonCursor& cursor, data::Block& block, Refusal& refusal) {
    if (!refusal.code.empty()) refusal = {};
    ValueReader values(cursor, block, refusal);
    SeenFields seen(table_.fields.children.size());
    bool good =
        fields(cursor, values, block, seen) && values.fill_missing(table_.fields, block.columns, block.rows, seen);
    if (!good) return refused(block, refusal);
    keep_unknown(block);
    ++block.rows;
    return true;
}

void DocumentReader::take_back(data::Block& block) {
    --block.rows;
    for (auto& column : block.columns) forget(column, block.rows);
}

bool DocumentReader::refused(data::Block& block, Refusal& refusal) const {
    for (auto& column : block.columns) forget(column, block.rows);
    refusal.column = column_of(refusal.path);
    return false;
}

bool DocumentReader::fields(JsonCursor& cursor, ValueReader& values, data::Block& block, SeenFields& seen) {
    kept_.clear();
    auto other = [&](std::string_view name) { return unknown(cursor, values, name); };
    return values.read_fields(table_.fields, block.columns, block.rows, seen, other);
}

bool DocumentReader::fill(const flow::Message& message, const JsonIndex& index, data::Block& block, Refusal& refusal) {
    JsonCursor cursor(message.json(), index);
    ValueReader values(cursor, block, refusal);
    if (message.payload.size() > table_.max_bytes)
        return values.refuse(
            "too_large", fmt::format("the event has {} bytes, more than `max_bytes` allows", message.payload.size()));
    if (index.fault != nullptr) return cursor.fail(index.fault) || values.broken();
    if (cursor.peek() != '{') return refuse_other(cursor, refusal), false;
    SeenFields seen(table_.fields.children.size());
    if (!fields(cursor, values, block, seen)) return false;
    if (!cursor.done()) return cursor.fail("something stands behind the event") || values.broken();
    if (!values.fill_missing(table_.fields, block.columns, block.rows, seen)) return false;
    own_columns(message, block, seen);
    keep_unknown(block);
    return true;
}

bool DocumentReader::unknown(JsonCursor& cursor, ValueReader& values, std::string_view name) {
    if (table_.unknown_fields == config::UnknownFields::reject)
        return values.refuse("unknown_field", "the table has no such column") || values.inside(name);
    std::string_view text;
    if (!cursor.value(text)) return values.broken() || values.inside(name);
    if (table_.unknown_fields == config::UnknownFields::keep)
        kept_ += fmt::format("{}{}:{}", kept_.empty() ? "{" : ",", nlohmann::json(name).dump(), text);
    return true;
}

void DocumentReader::own_columns(const flow::Message& message, data::Block& block, const SeenFields& seen) {
    size_t row = block.rows;
    auto ingestion = static_cast<size_t>(table_.ingestion);
    bool said = ingestion < table_.fields.children.size() && seen.has(ingestion) && block.columns[ingestion].valid(row);
    if (!said) {
        block.columns[ingestion].set_valid(row);
        block.columns[ingestion].values<int64_t>()[row] = message.received_micros;
    }
    store_text(message.position, block, table_.position, row);
    store_text(table_.version, block, table_.version_column, row);
}

void DocumentReader::keep_unknown(data::Block& block) {
    size_t row = block.rows;
    if (table_.kept < 0) return;
    if (kept_.empty()) return block.columns[static_cast<size_t>(table_.kept)].set_null(row);
    kept_ += '}';
    char* memory = block.allocate(kept_.size());
    std::memcpy(memory, kept_.data(), kept_.size());
    store_text({memory, kept_.size()}, block, table_.kept, row);
}

}  // namespace penstock::events
