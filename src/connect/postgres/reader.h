#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/settings.h"
#include "connect/postgres/wire.h"
#include "data/block.h"

namespace penstock::postgres {

/// Why a value cannot be held. `code` is one of the stable names in docs/reference/rejects.md.
struct Refusal {
    std::string code;
    std::string reason;
};

/// What readers share while one block is decoded.
struct ReadContext {
    data::Block& block;  ///< for memory of rendered text
    Refusal refusal = {};
    bool refuse(std::string code, std::string reason) {
        refusal = {std::move(code), std::move(reason)};
        return false;
    }
};

/// A row of a block that holds a refused value, and the column it is in.
struct RefusedRow {
    size_t row;
    size_t column;
    Refusal refusal;
};

/// Decodes one column's binary values into the block. Chosen once a column from the pair (source type, target type);
/// stateless afterwards and shared by all threads. Used by COPY and by pgoutput's binary tuples alike.
class Reader {
  public:
    virtual ~Reader() = default;
    /// One value, not NULL, into `row`. False with `context.refusal` set when it cannot be held. A malformed value is
    /// refused too, with code `malformed`.
    virtual bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const = 0;
    /// The value as JSON, lossless, for payloads and keys of rejects: numbers and booleans bare, all else as PostgreSQL's
    /// text in quotes, nested values as arrays and objects.
    virtual void render(FieldRef field, std::string& json) const = 0;
    /// A run of rows of one column from `first_row` on, NULLs included; refused values are appended to `refused`.
    virtual void read_column(std::span<const FieldRef> fields, size_t first_row, size_t column_index,
                             data::Column& column, ReadContext& context, std::vector<RefusedRow>& refused) const = 0;
};

using ReaderPtr = std::shared_ptr<const Reader>;

/// Gives a reader its column loop, with `read` called directly rather than through the virtual table.
template <class Derived>
class ReaderOf : public Reader {
  public:
    void read_column(std::span<const FieldRef> fields, size_t first_row, size_t column_index, data::Column& column,
                     ReadContext& context, std::vector<RefusedRow>& refused) const final {
        const auto& self = static_cast<const Derived&>(*this);
        for (size_t i = 0; i < fields.size(); ++i) {
            size_t row = first_row + i;
            if (fields[i].is_null()) column.set_null(row);
            else if (!self.Derived::read(fields[i], column, row, context)) [[unlikely]]
                refused.push_back({row, column_index, std::move(context.refusal)});
        }
    }
};

// Plain values.
ReaderPtr boolean_reader();
ReaderPtr int16_reader();
ReaderPtr int32_reader();
ReaderPtr int64_reader();
ReaderPtr uint32_reader();  ///< oid, xid
ReaderPtr uint64_reader();  ///< xid8
ReaderPtr float32_reader();
ReaderPtr float64_reader();
ReaderPtr uuid_reader();
ReaderPtr bytes_reader();
ReaderPtr text_reader(bool validate_utf8);
ReaderPtr json_reader(bool validate_utf8);  ///< text, verbatim
ReaderPtr jsonb_reader(bool validate_utf8);

// Numbers; `scale` and `precision` of the target decimal.
ReaderPtr decimal_reader(int precision, int scale, config::SpecialNumbers specials);
ReaderPtr numeric_text_reader();
ReaderPtr numeric_float64_reader();

// Times.
struct TimeLimits {
    bool infinite = false;    ///< the target holds infinities
    bool end_of_day = false;  ///< the target holds 24:00:00
    config::SpecialDates specials = config::SpecialDates::reject;
};
ReaderPtr date_reader(TimeLimits limits);
ReaderPtr time_reader(TimeLimits limits);
ReaderPtr timetz_reader();
ReaderPtr timestamp_reader(TimeLimits limits);
ReaderPtr timestamptz_reader(TimeLimits limits);
ReaderPtr interval_reader();

// Nested values.
ReaderPtr array_reader(ReaderPtr element, int dimensions);
ReaderPtr composite_reader(std::vector<std::string> names, std::vector<ReaderPtr> fields);
ReaderPtr range_reader(ReaderPtr bound);
ReaderPtr multirange_reader(ReaderPtr range);
ReaderPtr hstore_reader();

}  // namespace penstock::postgres
