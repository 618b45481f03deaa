// Feeds arbitrary bytes to the wal2json decoder: one byte that chooses the format, then messages with 0x1E between them.
// What is understood must hold together: views stay readable, values are JSON again. The corpus was recorded from
// wal2json 2.5 on PostgreSQL 15.20.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "connect/postgres/replication/json_cursor.h"
#include "connect/postgres/replication/wal2json.h"

namespace {

using namespace penstock::postgres;

struct Touch {
    size_t sum = 0;

    void text(std::string_view view) {
        for (char c : view) sum += static_cast<unsigned char>(c);
    }
    void columns(std::span<const Wal2jsonColumn> list) {
        for (const auto& column : list) {
            text(column.name), text(column.type), text(column.text);
            if (column.json.empty()) continue;
            JsonCursor value(column.json);
            if (value.value() != column.json || !value.done()) std::abort();
        }
    }
    void change(const Wal2jsonChange& change) {
        text(change.schema), text(change.table), text(change.prefix), text(change.content);
        columns(change.columns), columns(change.identity), columns(change.primary_key);
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    if (size == 0) return 0;
    constexpr Wal2jsonFormat formats[] = {Wal2jsonFormat::changes, Wal2jsonFormat::transactions,
                                          Wal2jsonFormat::chunks};
    Wal2jsonDecoder decoder(formats[bytes[0] % 3]);
    Touch touch;
    std::string_view rest(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    while (!rest.empty()) {
        auto part = rest.substr(0, rest.find('\x1e'));
        rest.remove_prefix(std::min(part.size() + 1, rest.size()));
        // A copy of its own, so that the address sanitizer sees the first byte too many.
        std::vector<char> message(part.begin(), part.end());
        decoder.feed({message.data(), message.size()});
        Wal2jsonChange change;
        for (auto got = decoder.next(change); got && *got; got = decoder.next(change)) touch.change(change);
    }
    return touch.sum == SIZE_MAX ? 1 : 0;
}
