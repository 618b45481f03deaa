#include "engine/compression.h"

#include <utility>

namespace penstock::engine {
namespace {

/// Measured on 5 M events: dictionaries win while a row group's distinct values stay well below its rows.
constexpr int64_t dictionary_distinct = 2000;
constexpr int64_t long_text_bytes = 64;

std::string_view text_compression(const data::ColumnStatistics& known, int64_t rows, bool zstd) {
    if (known.average_bytes == 0 && known.distinct == 0) return "";
    bool few =
        known.distinct > 0 && (known.distinct <= dictionary_distinct || (rows > 0 && known.distinct * 100 < rows));
    if (few) return "dictionary";
    if (known.average_bytes > long_text_bytes) return zstd ? "zstd" : "fsst";
    if (known.average_bytes > 0) return "fsst";
    return "";
}

}  // namespace

std::string_view choose_compression(const data::Field& field, int64_t rows, bool zstd) {
    using data::Kind;
    switch (field.type.kind) {
        case Kind::uuid: return "uncompressed";
        case Kind::text: return text_compression(field.statistics, rows, zstd);
        case Kind::json: {
            auto chosen = text_compression(field.statistics, rows, zstd);
            return chosen == "fsst" && zstd ? "zstd" : chosen;
        }
        case Kind::boolean:
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64:
        case Kind::date:
        case Kind::time:
        case Kind::timestamp:
        case Kind::timestamptz:
        case Kind::decimal: return "bitpacking";
        case Kind::float32:
        case Kind::float64:
        case Kind::bytes:
        case Kind::timetz:
        case Kind::interval:
        case Kind::list:
        case Kind::structure:
        case Kind::map: return "";
    }
    std::unreachable();
}

}  // namespace penstock::engine
