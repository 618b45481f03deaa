#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "transform/payload/avro_schema.h"

namespace penstock::payload {

/// One value in Avro's binary encoding as JSON, appended; or what is wrong, a sentence with the path to it. Every value is exact:
///
///     decimal               a number                        bytes, fixed     base64
///     date, time-*          2026-11-22, 13:14:15.678        uuid             123e4567-…
///     timestamp-*           2026-11-22T13:14:15.678Z        local-…          the same without Z
///     duration              P1M2DT3.004S                    float, double    the shortest number; "NaN", "Infinity"
///     union                 the value of its branch         enum             its symbol
std::expected<void, std::string> append_avro(const AvroType& type, std::string_view bytes, std::string& json);

}  // namespace penstock::payload
