// Feeds arbitrary bytes to the pgoutput decoder: one byte that chooses protocol and streaming, then messages, each after
// its length in two bytes. What is understood must hold together: views stay readable, kept tuples decode to the same.
// The corpus was recorded from PostgreSQL 15.20.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>

#include "connect/postgres/replication/pgoutput.h"

namespace {

using namespace penstock::postgres;

struct Touch {
    size_t sum = 0;
    std::vector<Tuple::Value> again;

    void text(std::string_view view) {
        for (char c : view) sum += static_cast<unsigned char>(c);
    }
    void row(const Tuple& tuple) {
        if (tuple.bytes.empty()) return;
        for (const auto& value : tuple.values) text(value.bytes);
        auto same = [](const Tuple::Value& a, const Tuple::Value& b) { return a.kind == b.kind && a.bytes == b.bytes; };
        std::string kept(tuple.bytes);
        if (!decode_tuple(kept, again) || !std::ranges::equal(tuple.values, again, same)) std::abort();
    }
    void operator()(const Insert& m) { row(m.row); }
    void operator()(const Update& m) { row(m.old_row), row(m.row); }
    void operator()(const Delete& m) { row(m.old_row); }
    void operator()(const RelationMessage& m) {
        text(m.schema), text(m.name);
        for (const auto& column : m.columns) text(column.name);
    }
    void operator()(const TypeMessage& m) { text(m.schema), text(m.name); }
    void operator()(const LogicalMessage& m) { text(m.prefix), text(m.content); }
    void operator()(const Origin& m) { text(m.name); }
    void operator()(const Truncate& m) {
        for (uint32_t relation : m.relations) sum += relation;
    }
    void operator()(const RollbackPrepared& m) { text(m.gid); }
    template <class Other>
    void operator()(const Other& m) {
        if constexpr (std::is_base_of_v<PreparedTransaction, Other>) text(m.gid);
    }
};

PgoutputDecoder make_decoder(uint8_t choice) {
    switch (choice % 6) {
        case 0: return PgoutputDecoder(1);
        case 1: return PgoutputDecoder(3);
        case 2: return PgoutputDecoder(2, Streaming::on);
        case 3: return PgoutputDecoder(3, Streaming::on);
        case 4: return PgoutputDecoder(4, Streaming::on);
        default: return PgoutputDecoder(4, Streaming::parallel);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    if (size == 0) return 0;
    auto decoder = make_decoder(bytes[0]);
    Touch touch;
    for (size_t at = 1; at + 2 <= size;) {
        size_t length = std::min<size_t>(bytes[at] * 256u + bytes[at + 1], size - at - 2);
        // A copy of its own, so that the address sanitizer sees the first byte too many.
        std::vector<char> message(bytes + at + 2, bytes + at + 2 + length);
        at += 2 + length;
        auto decoded = decoder.decode({message.data(), message.size()});
        if (!decoded) continue;
        std::visit(touch, *decoded);
    }
    return touch.sum == SIZE_MAX ? 1 : 0;
}
