#include "flow/change.h"

#include <fmt/format.h>

namespace penstock::flow::change {
namespace {

void write_hex(char* out, uint64_t number) {
    for (int digit = 15; digit >= 0; --digit, number >>= 4) out[digit] = "0123456789ABCDEF"[number & 15];
}

data::Field field(std::string name, data::Kind kind, bool nullable) {
    return {.name = std::move(name), .type = data::scalar(kind), .nullable = nullable};
}

}  // namespace

std::string origin(size_t key_column) { return fmt::format("_penstock_origin_{}", key_column); }

std::string before(size_t column) { return fmt::format("_penstock_before_{}", column); }

void write_position(char* out, uint64_t commit_position, uint64_t ordinal) {
    write_hex(out, commit_position);
    out[16] = '/';
    write_hex(out + 17, ordinal);
}

std::string position_of(uint64_t commit_position, uint64_t ordinal) {
    std::string text(position_bytes, '0');
    write_position(text.data(), commit_position, ordinal);
    return text;
}

data::Schema snapshot_schema(const TableInfo& info) {
    data::Schema schema = info.schema;
    schema.fields.push_back(field(op, data::Kind::text, false));
    schema.fields.push_back(field(position, data::Kind::text, false));
    schema.fields.push_back(field(committed_at, data::Kind::timestamptz, false));
    return schema;
}

data::Schema part_schema(const TableInfo& info) {
    data::Schema schema = snapshot_schema(info);
    schema.fields.push_back(field(unchanged, data::Kind::text, false));
    schema.fields.push_back(field(identity, data::Kind::int64, true));
    for (size_t i = 0; i < info.key.size(); ++i) {
        int found = info.schema.find(info.key[i]);
        auto type = found < 0 ? data::scalar(data::Kind::text) : info.schema.fields[static_cast<size_t>(found)].type;
        schema.fields.push_back({.name = origin(i), .type = std::move(type)});
    }
    if (info.old_rows) schema.fields.push_back(field(transaction, data::Kind::int64, true));
    if (!info.full_old_rows) return schema;
    for (size_t i = 0; i < info.schema.fields.size(); ++i)
        schema.fields.push_back({.name = before(i), .type = info.schema.fields[i].type});
    return schema;
}

}  // namespace penstock::flow::change
