#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace penstock::parquet {

/// A table's name as one part of a path: `/`, glob characters and what readers take for hidden (`_x`, `.x`) or for a Hive
/// key (`a=b`) are percent-encoded, so that no name leaves its folder and all names differ.
std::string encode_name(std::string_view name);

/// Whether the target's `path:` is one that data can be written to: relative, no `..`, no part that begins with `_` or
/// `.`, no glob characters, at least one part, only known placeholders.
Status check_template(std::string_view pattern);

/// Replaces {schema} and {table} by the parts of a source's "schema.table"; no slash at the end.
std::string with_table(std::string_view pattern, std::string_view source_table);

/// {table}/dt={yyyy} has time parts.
bool has_time(std::string_view pattern);

/// The folders above the first one that has a time part: what all runs share. "" when the first one has.
std::string fixed_part(std::string_view pattern);

/// When the run began: from its id, else `otherwise`.
TimePoint start_of_run(std::string_view run_id, TimePoint otherwise);

}  // namespace penstock::parquet
