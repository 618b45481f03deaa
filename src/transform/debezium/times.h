#pragma once

#include <cstdint>
#include <string>

#include "data/block.h"

namespace penstock::debezium {

/// What a block holds for 'infinity'; '-infinity' is its negative.
inline constexpr int64_t infinite_micros = INT64_MAX;
inline constexpr int32_t infinite_days = INT32_MAX;

/// 2024-02-29, -0043-03-15 for 44 BC, +10000-01-01: ISO 8601 with the year 0, as java.time writes it.
void append_iso_date(int64_t days, std::string& out);
/// 12:34:56.789, without zeros at the end.
void append_iso_time(int64_t micros, std::string& out);
/// 2024-02-29T12:34:56.789Z; infinity and -infinity as PostgreSQL says them.
void append_iso_timestamp(int64_t micros, std::string& out);
/// 12:34:56+05:30, Z for no offset; of a block's timetz.
void append_iso_timetz(int64_t packed, std::string& out);
/// P1Y2M3DT4H5M6.7S
void append_iso_interval(const data::Interval& value, std::string& out);

}  // namespace penstock::debezium
