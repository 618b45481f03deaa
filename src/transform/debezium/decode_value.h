#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

#include "data/block.h"
#include "transform/debezium/decode_shape.h"

namespace penstock::debezium {

/// What the values of one event share.
struct ValueContext {
    data::Block& block;  ///< for memory of decoded text and bytes
    const DecodeOptions& options;
    std::string code = {};
    std::string reason = {};

    bool refuse(std::string of_code, std::string of_reason) {
        code = std::move(of_code);
        reason = std::move(of_reason);
        return false;
    }
    bool malformed(std::string_view wanted, std::string_view found);
};

/// One value of the shape into `row` of the column, null included. False, with the reason in the context, when the column
/// cannot hold it as it is. Text without escapes is not copied: it points into the event.
bool read_value(const Shape& shape, simdjson::ondemand::value value, data::Column& column, size_t row,
                ValueContext& context);

/// A scalar as it stands in JSON: quotes and escapes of a string undone.
struct Scalar {
    enum class Kind : uint8_t { null, boolean, number, string } kind;
    std::string_view text;
};
bool read_scalar(simdjson::ondemand::value value, Scalar& out, ValueContext& context);

// By kind of value: decode_scalars.cc and decode_temporal.cc.
bool read_boolean(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);
bool read_integer(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);
bool read_floating(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);
bool read_uuid(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);
bool read_bytes(const Scalar& scalar, Binaries encoding, data::Column& column, size_t row, ValueContext& context);
bool read_bits(const Scalar& scalar, int32_t length, data::Column& column, size_t row, ValueContext& context);
/// Base64 of the unscaled value.
bool read_decimal(const Scalar& scalar, int32_t scale, data::Column& column, size_t row, ValueContext& context);
/// As text or number.
bool read_decimal_text(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);
bool read_date(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);
bool read_time(const Scalar& scalar, int64_t per_second, data::Column& column, size_t row, ValueContext& context);
bool read_timestamp(const Scalar& scalar, int64_t per_second, data::Column& column, size_t row, ValueContext& context);
bool read_zoned_time(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);
bool read_interval(const Scalar& scalar, data::Column& column, size_t row, ValueContext& context);

}  // namespace penstock::debezium
