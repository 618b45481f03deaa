#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "data/block.h"
#include "transform/debezium/envelope.h"

namespace penstock::debezium {

/// Where a value goes; `refusal` says why it could not.
struct Out {
    std::string& text;
    std::string refusal = {};
};

/// How the values of one column are written. Chosen once for each column; has no state.
class ValueEncoder {
  public:
    virtual ~ValueEncoder() = default;
    /// Of a row that is not NULL. False where the value has no form, with `out.refusal`.
    virtual bool append(const data::Column& column, size_t row, Out& out) const = 0;
    /// What stands for a value that was not sent; null where the type has no room for it.
    virtual void append_unavailable(std::string& out) const { out += "null"; }
    /// The Connect schema but for "optional" and "field": {"type":"int32" and ,"name":"io.debezium.time.Date","version":1
    virtual std::string schema_head() const = 0;
    virtual std::string schema_tail() const { return {}; }

    bool append_nullable(const data::Column& column, size_t row, Out& out) const {
        if (column.has_nulls() && !column.valid(row)) {
            out.text += "null";
            return true;
        }
        return append(column, row, out);
    }
    /// {"type":…,"optional":…,…,"field":…}; without name for elements of arrays.
    std::string schema(bool optional, std::string_view field) const;
};

using ValueEncoderPtr = std::unique_ptr<ValueEncoder>;

/// `source_type` is the source's name of the type ("numeric(12,2)", "timestamp(3) without time zone[]"): it tells apart what
/// has one meaning here and several forms there.
ValueEncoderPtr value_encoder(const data::Type& type, std::string_view source_type, const EnvelopeOptions& options);

}  // namespace penstock::debezium
