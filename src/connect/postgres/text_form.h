#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::postgres {

/// PostgreSQL's text of binary values, ISO style and UTC: "2026-11-21", "44-03-15 BC", "infinity". Exact both ways.
std::string date_text(int32_t days_since_2000);
std::string timestamp_text(int64_t micros_since_2000, bool with_zone);  ///< zone as "+00"
std::string time_text(int64_t micros);                                  ///< 24:00:00 included
std::string offset_text(int32_t seconds_east);                          ///< +05:30

/// Appends a JSON string; bytes that are not UTF-8 are written as `\xNN` in its text.
void append_json_string(std::string_view text, std::string& json);
/// Appends a JSON string of bytea's hex form.
void append_json_bytes(std::string_view bytes, std::string& json);

}  // namespace penstock::postgres
