#include "engine/json_value.h"

#include <fmt/format.h>

namespace penstock::engine {

std::string json_value(const data::Type& type, const std::string& column) {
    using data::Kind;
    switch (type.kind) {
        case Kind::boolean:
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64:
        case Kind::text: return column;
        case Kind::bytes: return fmt::format("'\\x' || lower(hex({}))", column);
        default: return fmt::format("CAST({} AS VARCHAR)", column);
    }
}

}  // namespace penstock::engine
