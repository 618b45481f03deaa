#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/type.h"
#include "transform/debezium/decode_options.h"

namespace penstock::debezium {

/// How a value stands in the JSON of an event.
enum class Wire : uint8_t {
    boolean,
    integer,   ///< into whatever integer the type is
    floating,  ///< a number, or "NaN", "Infinity", "-Infinity"
    text,      ///< also JSON texts
    uuid,
    decimal,           ///< base64 of the unscaled two's complement, or a number
    decimal_text,      ///< "1234.50", or a number
    variable_decimal,  ///< {"scale": 2, "value": base64}
    date,              ///< days since 1970, or ISO 8601
    time,              ///< since midnight in units, or ISO 8601
    timestamp,         ///< since 1970 in units, or ISO 8601; with zone or without
    zoned_time,        ///< ISO 8601 with an offset
    interval,          ///< ISO 8601: "P1Y2M3DT4H5M6.7S"
    bytes,             ///< in `encoding`
    bits,              ///< base64, the lowest bits first: as text of `length` bits
    geometry,          ///< {"wkb": base64, "srid": 4326}: as EWKB
    point,             ///< {"x": 1.5, "y": 2}: as PostgreSQL's text
    list,
    map,  ///< an object, or pairs
    structure,
};

/// From JSON into a column of `type`.
struct Shape {
    Wire wire = Wire::text;
    data::Type type;
    int32_t scale = 0;                    ///< Wire::decimal
    int64_t per_second = 1'000'000;       ///< units of Wire::time and Wire::timestamp
    int32_t length = 0;                   ///< Wire::bits
    Binaries encoding = Binaries::bytes;  ///< Wire::bytes
    std::vector<std::string> names = {};  ///< Wire::structure
    std::vector<Shape> children = {};     ///< fields, the element, or a map's value
};

struct ColumnShape {
    data::Field field;
    Shape shape;
    /// How JSON of this column reads when the source did not send it; none of them: it always does.
    std::vector<std::string> placeholders = {};
};

/// The columns of an event's rows from the Kafka Connect schema of its value ({"type": "struct", "fields": …}); `table` is
/// for policies and messages. Nothing in the schema is left out: a type without place is an error.
Result<std::vector<ColumnShape>> columns_of_schema(std::string_view schema, const std::string& table,
                                                   const DecodeOptions& options);
/// The same from the declared columns alone.
Result<std::vector<ColumnShape>> columns_of_options(const std::string& table, const DecodeOptions& options);
/// Field names of a key's schema.
Result<std::vector<std::string>> key_of_schema(std::string_view schema);

/// The shape of a declared type: Penstock's names and PostgreSQL's, "bigint", "numeric(12,2)", "timestamp(3)", "text[]".
Result<Shape> declared_shape(const std::string& table, const std::string& column, std::string_view type,
                             const DecodeOptions& options);

/// A numeric without bounds, as the policies want it: `wire` is how it is written.
Shape unbounded_numeric(Wire wire, const std::string& table, const std::string& column, const DecodeOptions& options);
/// decimal(precision, scale), or text where that is too wide or special numbers are to be kept.
Shape bounded_numeric(Wire wire, int precision, int scale, const DecodeOptions& options);

void set_placeholders(ColumnShape& column, const DecodeOptions& options);

}  // namespace penstock::debezium
