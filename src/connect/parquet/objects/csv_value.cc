#include "connect/parquet/objects/csv_value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "flow/text_store.h"
#include "transform/debezium/decode_bytes.h"

namespace penstock::parquet {
namespace {

using data::Kind;
using events::Fault;

std::string_view shown(std::string_view text) { return text.substr(0, 60); }

Fault wrong(const events::FieldPlan& plan, std::string_view text) {
    return {"wrong_type", fmt::format("expected {}, found '{}'", data::to_string(plan.type), shown(text))};
}

std::string_view keep(std::string_view text, data::Block& block) {
    char* memory = block.allocate(text.size());
    if (!text.empty()) std::memcpy(memory, text.data(), text.size());
    return {memory, text.size()};
}

bool is_word(std::string_view text, std::string_view word) {
    return std::ranges::equal(text, word, {}, [](unsigned char c) { return std::tolower(c); });
}

Fault store_boolean(const events::FieldPlan& plan, std::string_view text, data::Column& column, size_t row) {
    bool yes = is_word(text, "true") || is_word(text, "t");
    if (!yes && !is_word(text, "false") && !is_word(text, "f")) return wrong(plan, text);
    column.values<int8_t>()[row] = yes ? 1 : 0;
    return {};
}

Fault store_bytes(std::string_view text, data::Block& block, data::Column& column, size_t row) {
    char* memory = block.allocate(debezium::decoded_size(text, debezium::Binaries::bytes));
    auto size = debezium::decode_bytes(text, debezium::Binaries::bytes, memory);
    if (!size) return {"bad_base64", "bytes come as base64, which this is not"};
    column.values<data::StringRef>()[row] = data::StringRef(memory, *size);
    return {};
}

Fault store_json(std::string_view text, data::Block& block, data::Column& column, size_t row) {
    flow::TextStore store;
    events::JsonIndexer indexer;
    auto kept = store.keep(text);
    auto index = indexer.index(kept, store);
    std::string fault = index.fault != nullptr ? index.fault : "";
    if (fault.empty()) {
        events::JsonCursor cursor(kept, index);
        std::string_view whole;
        if (!cursor.value(whole) || !(cursor.done() || cursor.fail("something stands behind it"))) fault = cursor.fault;
    }
    if (!fault.empty()) return {"bad_json", "it is no valid JSON: " + fault};
    column.values<data::StringRef>()[row] = data::StringRef(keep(text, block));
    return {};
}

Fault store_text(const events::FieldPlan& plan, std::string_view text, data::Block& block, data::Column& column,
                 size_t row) {
    if (!plan.accepted.empty() && std::ranges::find(plan.accepted, text) == plan.accepted.end())
        return {"value_not_accepted", fmt::format("'{}' is none of {}", shown(text), fmt::join(plan.accepted, ", "))};
    column.values<data::StringRef>()[row] = data::StringRef(keep(text, block));
    return {};
}

/// Whose fault does not name the value.
Fault store_plain(const events::FieldPlan& plan, std::string_view text, data::Column& column, size_t row) {
    switch (plan.type.kind) {
        case Kind::int64: return events::is_number(text) ? events::store_integer(text, column, row) : wrong(plan, text);
        case Kind::float64:
            return events::is_number(text) ? events::store_floating(text, column, row) : wrong(plan, text);
        case Kind::decimal:
            return events::is_number(text) ? events::store_decimal(text, column, row) : wrong(plan, text);
        case Kind::date: return events::store_date(text, column, row);
        case Kind::time: return events::store_time(text, column, row);
        case Kind::timestamp:
        case Kind::timestamptz: return events::store_timestamp(text, column, row);
        case Kind::uuid: return events::store_uuid(text, column, row);
        default: return wrong(plan, text);
    }
}

}  // namespace

Fault store_csv_value(const events::FieldPlan& plan, std::string_view text, data::Block& block, data::Column& column,
                      size_t row) {
    switch (plan.type.kind) {
        case Kind::text: return store_text(plan, text, block, column, row);
        case Kind::boolean: return store_boolean(plan, text, column, row);
        case Kind::bytes: return store_bytes(text, block, column, row);
        case Kind::json: return store_json(text, block, column, row);
        default: break;
    }
    auto fault = store_plain(plan, text, column, row);
    bool names_value = !fault || std::string_view(fault.code) == "wrong_type";
    if (!names_value) fault.reason = fmt::format("'{}': {}", shown(text), fault.reason);
    return fault;
}

bool is_csv_type(const data::Type& type) {
    return type.kind != Kind::list && type.kind != Kind::structure && type.kind != Kind::map;
}

}  // namespace penstock::parquet
