// Feeds arbitrary bytes to the decoder of Debezium's events: one byte that chooses the modes, then a key and events with 0x1E
// between them. The first event says what the table is, where it can; with the highest bit set, declared columns do. What is
// decoded must lie in memory that is there. The corpus was written by Debezium 3.7.0.Final: tests/fixtures/debezium.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "flow/change.h"
#include "transform/debezium/decode.h"

namespace {

using namespace penstock;
using namespace penstock::debezium;

/// Each text in memory of its own with just the padding it may count on.
class Texts {
  public:
    std::string_view keep(std::string_view text) {
        auto& memory = kept_.emplace_back(text.size() + padding);
        if (!text.empty()) std::memcpy(memory.data(), text.data(), text.size());
        return {memory.data(), text.size()};
    }

  private:
    std::deque<std::vector<char>> kept_;
};

size_t touch(const data::Column& column, size_t row) {
    if (!column.valid(row)) return 0;
    size_t sum = 0;
    switch (column.layout()) {
        case data::Layout::string:
            for (char c : column.values<data::StringRef>()[row].view()) sum += static_cast<unsigned char>(c);
            return sum;
        case data::Layout::list: {
            auto entry = column.values<data::ListEntry>()[row];
            if (entry.offset + entry.length > column.children()[0].size()) std::abort();
            for (uint64_t i = 0; i < entry.length; ++i) sum += touch(column.children()[0], entry.offset + i);
            return sum;
        }
        case data::Layout::structure:
            for (const auto& child : column.children()) sum += touch(child, row);
            return sum;
        default: return 1;
    }
}

DecodeOptions options_of(uint8_t choice) {
    DecodeOptions options;
    options.decimals = static_cast<Decimals>(choice % 3);
    options.times = static_cast<Times>(choice / 3 % 6);
    options.intervals = static_cast<Intervals>(choice & 1);
    options.binaries = static_cast<Binaries>(choice & 3);
    bool all = (choice & 4) != 0;
    options.holds = {.infinite_dates = all, .end_of_day = all, .timetz = all, .interval = all};
    if ((choice & 8) != 0) options.policies.numeric.otherwise.form = config::NumericForm::text;
    if ((choice & 128) != 0)
        options.columns = {{"id", "bigint"},        {"customer", "text"},    {"amount", "numeric(12,2)"},
                           {"rate", "numeric"},     {"qty", "int"},          {"ratio", "real"},
                           {"dbl", "double"},       {"is_paid", "boolean"},  {"d", "date"},
                           {"t", "time(3)"},        {"t6", "time"},          {"ttz", "timetz"},
                           {"ts3", "timestamp(3)"}, {"tstz", "timestamptz"}, {"iv", "interval"},
                           {"j", "json"},           {"tags", "text[]"},      {"nn", "numeric(6,2)[]"},
                           {"u", "uuid"},           {"b", "bytea"},          {"bits", "bit(12)"}};
    return options;
}

std::string_view cut(std::string_view& rest) {
    auto part = rest.substr(0, rest.find('\x1e'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    return part;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    if (size == 0) return 0;
    Texts texts;
    std::string_view rest(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    Splitter keys, values;
    auto key = keys.split(texts.keep(cut(rest)));
    std::string_view following = rest;
    auto first = values.split(texts.keep(cut(following)));
    if (!first) return 0;
    auto table =
        EventTable::make("public.orders", first->schema, key ? *key : Split{}, first->payload, options_of(bytes[0]));
    if (!table) return 0;
    auto schema = flow::change::part_schema(table->info);
    data::Block block(schema);
    Decoder decoder(*table);
    size_t sum = 0;
    uint64_t position = 0;
    while (!rest.empty() && block.rows + 2 <= data::block_rows) {
        auto value = values.split(texts.keep(cut(rest)));
        if (!value) continue;
        Event event{.key = key ? key->payload : std::string_view(), .value = value->payload, .position = ++position};
        if ((position & 1) == 0 && key && !key->payload.empty())
            event.identity = 1, event.origin = key->payload, event.moved = true;
        size_t before = block.rows;
        Refusal refusal;
        auto outcome = decoder.decode(event, block, refusal);
        if ((outcome == Decoder::Outcome::rows) != (block.rows > before)) std::abort();
        if (outcome == Decoder::Outcome::refused && refusal.code.empty()) std::abort();
        for (size_t row = before; row < block.rows; ++row)
            for (const auto& column : block.columns) sum += touch(column, row);
    }
    return sum == SIZE_MAX ? 1 : 0;
}
