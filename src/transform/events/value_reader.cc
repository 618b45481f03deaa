#include "transform/events/value_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "transform/debezium/decode_bytes.h"

namespace penstock::events {
namespace {

using data::Kind;

/// A value in an error: enough of it to know it by.
std::string shown(std::string_view text) {
    constexpr size_t most = 60;
    if (text.size() <= most) return std::string(text);
    size_t end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return std::string(text.substr(0, end)) + "…";
}

}  // namespace

bool ValueReader::refuse(std::string code, std::string reason) {
    refusal_ = {.code = std::move(code), .reason = std::move(reason)};
    return false;
}

bool ValueReader::broken() { return refuse("bad_json", "the event is no valid JSON: " + cursor_.fault); }

void refuse_other(JsonCursor& cursor, Refusal& refusal) {
    std::string_view text;
    if (cursor.value(text) && (cursor.done() || cursor.fail("something stands behind it")))
        refusal = {.code = "not_an_object", .reason = "the event is no JSON object"};
    else refusal = {.code = "bad_json", .reason = "the event is no valid JSON: " + cursor.fault};
}

bool ValueReader::inside(std::string_view name) {
    auto& path = refusal_.path;
    bool joined = path.starts_with('[') || path.empty();
    path = joined ? fmt::format("{}{}", name, path) : fmt::format("{}.{}", name, path);
    return false;
}

bool ValueReader::wrong(const FieldPlan& plan, std::string_view found) {
    return refuse("wrong_type", fmt::format("expected {}, found {}", data::to_string(plan.type), found));
}

std::string_view ValueReader::keep(std::string_view text) {
    char* memory = block_.allocate(text.size());
    if (!text.empty()) std::memcpy(memory, text.data(), text.size());
    return {memory, text.size()};
}

/// Which of the plan's children a raw key names, where `next` is a good guess; -1 none. The key's escapes are undone.
bool ValueReader::find(const FieldPlan& plan, std::string_view& name, size_t next, int& found) {
    if (next < plan.children.size() && plan.children[next].name == name) {
        found = static_cast<int>(next);
        return true;
    }
    std::string scratch;
    if (!cursor_.plain(name, scratch, "name")) return broken();
    if (name.data() == scratch.data()) name = keep(name);
    found = plan.find(name);
    return true;
}

bool ValueReader::fill_missing(const FieldPlan& plan, std::vector<data::Column>& columns, size_t row,
                               const SeenFields& seen) {
    for (size_t i = 0; i < plan.children.size(); ++i) {
        if (seen.has(i)) continue;
        if (plan.children[i].required)
            return refuse("missing_field", "the field is missing") || inside(plan.children[i].name);
        columns[i].set_null(row);
    }
    return true;
}

bool ValueReader::read(const FieldPlan& plan, data::Column& column, size_t row) {
    char first = cursor_.peek();
    if (plan.type.kind == Kind::json && first != 'n') {
        std::string_view text;
        if (!cursor_.value(text)) return broken();
        column.values<data::StringRef>()[row] = data::StringRef(text);
        return true;
    }
    switch (first) {
        case '"': return read_string(plan, column, row);
        case '[': return plan.type.kind == Kind::list ? read_list(plan, column, row) : wrong(plan, "a list");
        case '{': return plan.type.kind == Kind::structure ? read_struct(plan, column, row) : wrong(plan, "an object");
        default: return read_token(plan, column, row);
    }
}

bool ValueReader::read_token(const FieldPlan& plan, data::Column& column, size_t row) {
    auto token = cursor_.token();
    if (token == "null") {
        if (plan.required) return refuse("null_value", "a value must be there, and it is null");
        column.set_null(row);
        return true;
    }
    if (token == "true" || token == "false") {
        if (plan.type.kind != Kind::boolean) return wrong(plan, token);
        column.values<int8_t>()[row] = token == "true" ? 1 : 0;
        return true;
    }
    if (is_number(token)) return read_number(plan, token, column, row);
    return cursor_.fail(token.empty() ? "a value is missing" : fmt::format("'{}' is no value", shown(token))) ||
           broken();
}

bool ValueReader::read_number(const FieldPlan& plan, std::string_view token, data::Column& column, size_t row) {
    Fault fault;
    switch (plan.type.kind) {
        case Kind::int64: fault = store_integer(token, column, row); break;
        case Kind::float64: fault = store_floating(token, column, row); break;
        case Kind::decimal: fault = store_decimal(token, column, row); break;
        default: return wrong(plan, fmt::format("the number {}", shown(token)));
    }
    return !fault || refuse(fault.code, fmt::format("{}: {}", shown(token), fault.reason));
}

bool ValueReader::read_string(const FieldPlan& plan, data::Column& column, size_t row) {
    std::string_view text;
    if (!cursor_.string(text)) return broken();
    if (!cursor_.plain(text, scratch_)) return broken();
    bool copied = text.data() == scratch_.data();
    return store_string(plan, text, copied, column, row);
}

bool ValueReader::store_string(const FieldPlan& plan, std::string_view text, bool copied, data::Column& column,
                               size_t row) {
    Fault fault;
    switch (plan.type.kind) {
        case Kind::text:
            if (!plan.accepted.empty() && std::ranges::find(plan.accepted, text) == plan.accepted.end())
                return refuse("value_not_accepted",
                              fmt::format("'{}' is none of {}", shown(text), fmt::join(plan.accepted, ", ")));
            column.values<data::StringRef>()[row] = data::StringRef(copied ? keep(text) : text);
            return true;
        case Kind::bytes: return read_bytes(text, column, row);
        case Kind::date: fault = store_date(text, column, row); break;
        case Kind::time: fault = store_time(text, column, row); break;
        case Kind::timestamp:
        case Kind::timestamptz: fault = store_timestamp(text, column, row); break;
        case Kind::uuid: fault = store_uuid(text, column, row); break;
        case Kind::float64:
            if (store_no_number(text, column, row)) return true;
            [[fallthrough]];
        default: return wrong(plan, fmt::format("the text '{}'", shown(text)));
    }
    return !fault || refuse(fault.code, fmt::format("'{}': {}", shown(text), fault.reason));
}

bool ValueReader::read_bytes(std::string_view text, data::Column& column, size_t row) {
    char* memory = block_.allocate(debezium::decoded_size(text, debezium::Binaries::bytes));
    auto size = debezium::decode_bytes(text, debezium::Binaries::bytes, memory);
    if (!size) return refuse("bad_base64", "bytes come as base64, which this is not");
    column.values<data::StringRef>()[row] = data::StringRef(memory, *size);
    return true;
}

bool ValueReader::read_list(const FieldPlan& plan, data::Column& column, size_t row) {
    data::Column& child = column.children()[0];
    uint64_t first = child.size(), count = 0;
    bool good = cursor_.array([&] {
        size_t at = child.grow(1);
        if (!read(plan.children[0], child, at)) return inside(fmt::format("[{}]", count));
        ++count;
        return true;
    });
    if (!good) return !refusal_.code.empty() ? false : broken();
    column.values<data::ListEntry>()[row] = {first, count};
    return true;
}

bool ValueReader::read_struct(const FieldPlan& plan, data::Column& column, size_t row) {
    SeenFields seen(plan.children.size());
    auto unknown = [&](std::string_view name) {
        return refuse("unknown_field", "the table has no such field") || inside(name);
    };
    return read_fields(plan, column.children(), row, seen, unknown) && fill_missing(plan, column.children(), row, seen);
}

}  // namespace penstock::events
