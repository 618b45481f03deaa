#include "connect/duckdb/widening.h"

#include <algorithm>

namespace penstock::duckdb {
namespace {

using data::Kind;
using data::Type;

/// Decimal digits that the integers of a kind can need, 0 for other kinds.
int digits_of(Kind kind) {
    switch (kind) {
        case Kind::int16: return 5;
        case Kind::int32:
        case Kind::uint32: return 10;
        case Kind::int64: return 19;
        case Kind::uint64: return 20;
        default: return 0;
    }
}

bool integer_holds(Kind wide, Kind narrow) {
    switch (wide) {
        case Kind::int32: return narrow == Kind::int16;
        case Kind::int64: return narrow == Kind::int16 || narrow == Kind::int32 || narrow == Kind::uint32;
        case Kind::uint64: return narrow == Kind::uint32;
        default: return false;
    }
}

bool decimal_holds(const Type& wide, const Type& narrow) {
    int whole = wide.precision - wide.scale;
    if (narrow.kind == Kind::decimal) return narrow.scale <= wide.scale && narrow.precision - narrow.scale <= whole;
    int digits = digits_of(narrow.kind);
    return digits > 0 && digits <= whole;
}

/// Exact integers of a double reach to 2^53.
bool double_holds(Kind narrow) {
    return narrow == Kind::float32 || narrow == Kind::int16 || narrow == Kind::int32 || narrow == Kind::uint32;
}

bool children_hold(const Type& wide, const Type& narrow) {
    return std::ranges::equal(wide.children, narrow.children, [](const data::Field& a, const data::Field& b) {
        return a.name == b.name && holds(a.type, b.type);
    });
}

}  // namespace

bool holds(const Type& wide, const Type& narrow) {
    if (wide.kind == Kind::decimal) return decimal_holds(wide, narrow);
    if (wide.kind == narrow.kind) return wide.children.empty() ? narrow.children.empty() : children_hold(wide, narrow);
    switch (wide.kind) {
        case Kind::float64: return double_holds(narrow.kind);
        case Kind::float32: return narrow.kind == Kind::int16;
        case Kind::text: return narrow.kind == Kind::json;
        default: return integer_holds(wide.kind, narrow.kind);
    }
}

}  // namespace penstock::duckdb
