#include <arrow/api.h>
#include <fmt/format.h>

#include <utility>

#include "data/arrow.h"
#include "data/timetz.h"

namespace penstock::data {
namespace {

__extension__ using UInt128 = unsigned __int128;

Error arrow_error(const arrow::Status& status) {
    bool memory = status.IsOutOfMemory() || status.IsCapacityError();
    return {.kind = memory ? ErrorKind::capacity : ErrorKind::internal,
            .code = "arrow",
            .message = fmt::format("Arrow cannot hold the rows: {}", status.message())};
}

#define PN_ARROW(...)                                                                                      \
    do {                                                                                                   \
        if (auto pn_arrow = (__VA_ARGS__); !pn_arrow.ok()) return ::penstock::fail(arrow_error(pn_arrow)); \
    } while (false)

Status append(const Column& column, size_t first, size_t rows, arrow::ArrayBuilder& builder);

template <class Builder, class Value, class Convert>
Status append_each(const Column& column, size_t first, size_t rows, arrow::ArrayBuilder& into, Convert convert) {
    auto& builder = static_cast<Builder&>(into);
    const auto* values = column.values<Value>();
    PN_ARROW(builder.Reserve(static_cast<int64_t>(rows)));
    for (size_t row = first; row < first + rows; ++row) {
        if (column.valid(row)) {
            PN_ARROW(builder.Append(convert(values[row])));
        } else {
            PN_ARROW(builder.AppendNull());
        }
    }
    return {};
}

template <class Builder, class Value>
Status append_plain(const Column& column, size_t first, size_t rows, arrow::ArrayBuilder& builder) {
    return append_each<Builder, Value>(column, first, rows, builder,
                                       [](Value value) { return static_cast<typename Builder::value_type>(value); });
}

arrow::Decimal128 decimal_of(Int128 value) { return {static_cast<int64_t>(value >> 64), static_cast<uint64_t>(value)}; }

Status append_decimal(const Column& column, size_t first, size_t rows, arrow::ArrayBuilder& builder) {
    auto convert = [](auto value) { return decimal_of(value); };
    using Builder = arrow::Decimal128Builder;
    switch (column.layout()) {
        case Layout::int16: return append_each<Builder, int16_t>(column, first, rows, builder, convert);
        case Layout::int32: return append_each<Builder, int32_t>(column, first, rows, builder, convert);
        case Layout::int64: return append_each<Builder, int64_t>(column, first, rows, builder, convert);
        default: return append_each<Builder, Int128>(column, first, rows, builder, convert);
    }
}

std::string uuid_bytes(Int128 value) {
    auto bits = static_cast<UInt128>(value) ^ static_cast<UInt128>(1) << 127;
    std::string bytes(16, '\0');
    for (size_t i = 16; i-- > 0; bits >>= 8) bytes[i] = static_cast<char>(bits & 0xff);
    return bytes;
}

Status append_interval(const Column& column, size_t first, size_t rows, arrow::ArrayBuilder& into) {
    auto& builder = static_cast<arrow::MonthDayNanoIntervalBuilder&>(into);
    for (size_t row = first; row < first + rows; ++row) {
        const auto& value = column.values<Interval>()[row];
        int64_t nanos = 0;
        if (!column.valid(row)) {
            PN_ARROW(builder.AppendNull());
        } else if (__builtin_mul_overflow(value.micros, int64_t{1000}, &nanos)) {
            return fail({.kind = ErrorKind::data,
                         .code = "interval_overflow",
                         .message = fmt::format("an interval of {} microseconds is more than Arrow's nanoseconds hold",
                                                value.micros)});
        } else {
            PN_ARROW(builder.Append({value.months, value.days, nanos}));
        }
    }
    return {};
}

Status append_list(const Column& column, size_t first, size_t rows, arrow::ListBuilder& builder) {
    for (size_t row = first; row < first + rows; ++row) {
        if (!column.valid(row)) {
            PN_ARROW(builder.AppendNull());
            continue;
        }
        auto entry = column.values<ListEntry>()[row];
        PN_ARROW(builder.Append());
        PN_CHECK(append(column.children()[0], entry.offset, entry.length, *builder.value_builder()));
    }
    return {};
}

/// A map's builder wants keys and items apart, not the structure of the two.
Status append_map(const Column& column, size_t first, size_t rows, arrow::MapBuilder& builder) {
    const auto& entries = column.children()[0];
    for (size_t row = first; row < first + rows; ++row) {
        if (!column.valid(row)) {
            PN_ARROW(builder.AppendNull());
            continue;
        }
        auto entry = column.values<ListEntry>()[row];
        PN_ARROW(builder.Append());
        PN_CHECK(append(entries.children()[0], entry.offset, entry.length, *builder.key_builder()));
        PN_CHECK(append(entries.children()[1], entry.offset, entry.length, *builder.item_builder()));
    }
    return {};
}

Status append_structure(const Column& column, size_t first, size_t rows, arrow::StructBuilder& builder) {
    for (size_t row = first; row < first + rows; ++row) PN_ARROW(builder.Append(column.valid(row)));
    for (size_t i = 0; i < column.children().size(); ++i)
        PN_CHECK(append(column.children()[i], first, rows, *builder.field_builder(static_cast<int>(i))));
    return {};
}

Status append(const Column& column, size_t first, size_t rows, arrow::ArrayBuilder& builder) {
    auto view = [](const StringRef& text) { return text.view(); };
    switch (column.type().kind) {
        case Kind::boolean: return append_plain<arrow::BooleanBuilder, int8_t>(column, first, rows, builder);
        case Kind::int16: return append_plain<arrow::Int16Builder, int16_t>(column, first, rows, builder);
        case Kind::int32: return append_plain<arrow::Int32Builder, int32_t>(column, first, rows, builder);
        case Kind::int64: return append_plain<arrow::Int64Builder, int64_t>(column, first, rows, builder);
        case Kind::uint32: return append_plain<arrow::UInt32Builder, uint32_t>(column, first, rows, builder);
        case Kind::uint64: return append_plain<arrow::UInt64Builder, uint64_t>(column, first, rows, builder);
        case Kind::float32: return append_plain<arrow::FloatBuilder, float>(column, first, rows, builder);
        case Kind::float64: return append_plain<arrow::DoubleBuilder, double>(column, first, rows, builder);
        case Kind::date: return append_plain<arrow::Date32Builder, int32_t>(column, first, rows, builder);
        case Kind::time: return append_plain<arrow::Time64Builder, int64_t>(column, first, rows, builder);
        case Kind::timestamp:
        case Kind::timestamptz: return append_plain<arrow::TimestampBuilder, int64_t>(column, first, rows, builder);
        case Kind::decimal: return append_decimal(column, first, rows, builder);
        case Kind::uuid:
            return append_each<arrow::FixedSizeBinaryBuilder, Int128>(column, first, rows, builder, uuid_bytes);
        case Kind::text:
        case Kind::json: return append_each<arrow::StringBuilder, StringRef>(column, first, rows, builder, view);
        case Kind::bytes: return append_each<arrow::BinaryBuilder, StringRef>(column, first, rows, builder, view);
        case Kind::timetz: return append_each<arrow::StringBuilder, int64_t>(column, first, rows, builder, timetz_text);
        case Kind::interval: return append_interval(column, first, rows, builder);
        case Kind::list: return append_list(column, first, rows, static_cast<arrow::ListBuilder&>(builder));
        case Kind::map: return append_map(column, first, rows, static_cast<arrow::MapBuilder&>(builder));
        case Kind::structure: return append_structure(column, first, rows, static_cast<arrow::StructBuilder&>(builder));
    }
    std::unreachable();
}

}  // namespace

Result<std::shared_ptr<arrow::RecordBatch>> to_arrow(const Block& block, const std::shared_ptr<arrow::Schema>& schema) {
    std::vector<std::shared_ptr<arrow::Array>> arrays(block.columns.size());
    for (size_t i = 0; i < arrays.size(); ++i) {
        std::unique_ptr<arrow::ArrayBuilder> builder;
        PN_ARROW(
            arrow::MakeBuilder(arrow::default_memory_pool(), schema->field(static_cast<int>(i))->type(), &builder));
        PN_CHECK(append(block.columns[i], 0, block.rows, *builder));
        PN_ARROW(builder->Finish(&arrays[i]));
    }
    return arrow::RecordBatch::Make(schema, static_cast<int64_t>(block.rows), std::move(arrays));
}

}  // namespace penstock::data
