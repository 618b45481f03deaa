#include <arrow/api.h>
#include <fmt/format.h>

#include <utility>

#include "base/assert.h"
#include "data/arrow.h"
#include "data/timetz.h"

namespace penstock::data {
namespace {

__extension__ using UInt128 = unsigned __int128;

Error unfit(std::string code, std::string message) {
    return {.kind = ErrorKind::data, .code = std::move(code), .message = std::move(message)};
}

/// Rows [first, first + rows) of an array, to be put at `at` of a column.
struct Piece {
    const arrow::Array& array;
    int64_t first;
    size_t rows;
    size_t at;
};

Status put(const Piece& piece, Column& column);

template <class Array, class Value, class Convert>
void put_each(const Piece& piece, Column& column, Convert convert) {
    const auto& array = static_cast<const Array&>(piece.array);
    auto* values = column.values<Value>() + piece.at;
    for (size_t row = 0; row < piece.rows; ++row) {
        int64_t from = piece.first + static_cast<int64_t>(row);
        if (array.IsValid(from)) {
            values[row] = convert(array, from);
        } else {
            column.set_null(piece.at + row);
        }
    }
}

template <class Array, class Value>
Status put_plain(const Piece& piece, Column& column) {
    put_each<Array, Value>(piece, column,
                           [](const Array& array, int64_t row) { return static_cast<Value>(array.Value(row)); });
    return {};
}

Int128 decimal_at(const arrow::Decimal128Array& array, int64_t row) {
    arrow::Decimal128 value(array.GetValue(row));
    auto high = static_cast<UInt128>(static_cast<uint64_t>(value.high_bits()));
    return static_cast<Int128>(high << 64 | value.low_bits());
}

Status put_decimal(const Piece& piece, Column& column) {
    using Array = arrow::Decimal128Array;
    switch (column.layout()) {
        case Layout::int16:
            put_each<Array, int16_t>(piece, column,
                                     [](const Array& a, int64_t i) { return static_cast<int16_t>(decimal_at(a, i)); });
            return {};
        case Layout::int32:
            put_each<Array, int32_t>(piece, column,
                                     [](const Array& a, int64_t i) { return static_cast<int32_t>(decimal_at(a, i)); });
            return {};
        case Layout::int64:
            put_each<Array, int64_t>(piece, column,
                                     [](const Array& a, int64_t i) { return static_cast<int64_t>(decimal_at(a, i)); });
            return {};
        default: put_each<Array, Int128>(piece, column, decimal_at); return {};
    }
}

template <class Array>
Status put_text(const Piece& piece, Column& column) {
    put_each<Array, StringRef>(piece, column,
                               [](const Array& array, int64_t row) { return StringRef(array.GetView(row)); });
    return {};
}

Status put_uuid(const Piece& piece, Column& column) {
    using Array = arrow::FixedSizeBinaryArray;
    put_each<Array, Int128>(piece, column, [](const Array& array, int64_t row) {
        UInt128 bits = 0;
        for (char byte : array.GetView(row)) bits = bits << 8 | static_cast<unsigned char>(byte);
        return static_cast<Int128>(bits ^ static_cast<UInt128>(1) << 127);
    });
    return {};
}

Status put_timetz(const Piece& piece, Column& column) {
    Status status;
    using Array = arrow::StringArray;
    put_each<Array, int64_t>(piece, column, [&](const Array& array, int64_t row) {
        auto parsed = parse_timetz(array.GetView(row));
        if (!parsed)
            status = fail(unfit("timetz_text", fmt::format("'{}' is not a time with an offset", array.GetView(row))));
        return parsed.value_or(0);
    });
    return status;
}

Status put_interval(const Piece& piece, Column& column) {
    Status status;
    using Array = arrow::MonthDayNanoIntervalArray;
    put_each<Array, Interval>(piece, column, [&](const Array& array, int64_t row) {
        auto value = array.Value(row);
        if (value.nanoseconds % 1000 != 0)
            status = fail(unfit("interval_nanoseconds",
                                fmt::format("an interval of {} ns is finer than a microsecond", value.nanoseconds)));
        return Interval{.months = value.months, .days = value.days, .micros = value.nanoseconds / 1000};
    });
    return status;
}

/// Lists and maps: an Arrow map is a list of structures. Elements of one piece lie together in both.
Status put_list(const Piece& piece, Column& column) {
    const auto& array = static_cast<const arrow::ListArray&>(piece.array);
    auto& elements = column.children()[0];
    for (size_t row = 0; row < piece.rows; ++row) {
        int64_t from = piece.first + static_cast<int64_t>(row);
        if (array.IsNull(from)) {
            column.set_null(piece.at + row);
            continue;
        }
        auto length = static_cast<size_t>(array.value_length(from));
        size_t offset = elements.grow(length);
        column.values<ListEntry>()[piece.at + row] = {.offset = offset, .length = length};
        PN_CHECK(put({*array.values(), array.value_offset(from), length, offset}, elements));
    }
    return {};
}

Status put_structure(const Piece& piece, Column& column) {
    const auto& array = static_cast<const arrow::StructArray&>(piece.array);
    for (size_t i = 0; i < column.children().size(); ++i)
        PN_CHECK(put({*array.field(static_cast<int>(i)), piece.first, piece.rows, piece.at}, column.children()[i]));
    for (size_t row = 0; row < piece.rows; ++row)
        if (array.IsNull(piece.first + static_cast<int64_t>(row))) column.set_null(piece.at + row);
    return {};
}

Status put(const Piece& piece, Column& column) {
    switch (column.type().kind) {
        case Kind::boolean: return put_plain<arrow::BooleanArray, int8_t>(piece, column);
        case Kind::int16: return put_plain<arrow::Int16Array, int16_t>(piece, column);
        case Kind::int32: return put_plain<arrow::Int32Array, int32_t>(piece, column);
        case Kind::int64: return put_plain<arrow::Int64Array, int64_t>(piece, column);
        case Kind::uint32: return put_plain<arrow::UInt32Array, uint32_t>(piece, column);
        case Kind::uint64: return put_plain<arrow::UInt64Array, uint64_t>(piece, column);
        case Kind::float32: return put_plain<arrow::FloatArray, float>(piece, column);
        case Kind::float64: return put_plain<arrow::DoubleArray, double>(piece, column);
        case Kind::date: return put_plain<arrow::Date32Array, int32_t>(piece, column);
        case Kind::time: return put_plain<arrow::Time64Array, int64_t>(piece, column);
        case Kind::timestamp:
        case Kind::timestamptz: return put_plain<arrow::TimestampArray, int64_t>(piece, column);
        case Kind::decimal: return put_decimal(piece, column);
        case Kind::uuid: return put_uuid(piece, column);
        case Kind::text:
        case Kind::json: return put_text<arrow::StringArray>(piece, column);
        case Kind::bytes: return put_text<arrow::BinaryArray>(piece, column);
        case Kind::timetz: return put_timetz(piece, column);
        case Kind::interval: return put_interval(piece, column);
        case Kind::list:
        case Kind::map: return put_list(piece, column);
        case Kind::structure: return put_structure(piece, column);
    }
    std::unreachable();
}

}  // namespace

Status from_arrow(const arrow::RecordBatch& batch, size_t first, size_t rows, Block& block) {
    PN_ASSERT(rows <= block_rows && first + rows <= static_cast<size_t>(batch.num_rows()));
    PN_ASSERT(static_cast<size_t>(batch.num_columns()) == block.columns.size());
    for (size_t i = 0; i < block.columns.size(); ++i) {
        auto array = batch.column(static_cast<int>(i));
        PN_CHECK(put({*array, static_cast<int64_t>(first), rows, 0}, block.columns[i]));
    }
    block.rows = rows;
    return {};
}

}  // namespace penstock::data
