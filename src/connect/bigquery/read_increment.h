#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/values.h"
#include "data/block.h"
#include "data/type.h"

namespace arrow {
class Array;
}

namespace penstock::bigquery {

/// What a column must be to serve as a cursor.
enum class CursorKind { none, whole, decimal, date, datetime, timestamp };

/// A column by which a table is read, and how its values are written down.
struct Cursor {
    int column = -1;  ///< index into the columns that are read; -1: there is none
    CursorKind kind = CursorKind::none;
    std::string name;
    int scale = 0;  ///< of decimals
    bool nullable = true;
    data::Int128 lag = 0;  ///< in units of raw values

    bool any() const { return column >= 0; }
    /// A raw value (microseconds, days, unscaled digits) as people write it, and back.
    std::string text(data::Int128 raw) const;
    std::optional<data::Int128> raw(const std::string& text) const;
    /// As a literal of GoogleSQL.
    std::string literal(data::Int128 raw) const;
};

/// The kind of a cursor column, or an error that names those that serve.
Result<CursorKind> cursor_kind(const data::Field& field, const std::string& table, const config::Text& cursor);

/// The user's lag in raw units: a duration for times, a number for numbers. Dates are read from whole days on.
Result<data::Int128> cursor_lag(const Cursor& cursor, const config::Text& lag);

/// The value at a row of the cursor's column, as it was announced; nothing for NULL.
std::optional<data::Int128> cursor_at(const arrow::Array& column, int64_t row);

/// The condition for rows that are new since `last`: BigQuery keeps no word of when a row became visible, so everything from
/// the largest value less the lag on is read again, and rows without value always are. "" where nothing was read yet.
std::string increment_condition(const Cursor& cursor, const std::string& last);

}  // namespace penstock::bigquery
