#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "transform/archive/archive.h"

namespace penstock::archive {

/// What one object holds at most: the hour where the template has it, else the day.
std::chrono::hours object_span(std::string_view path);

/// The start of the hour or day that a message of `time` belongs to.
TimePoint span_start(TimePoint time, std::chrono::hours span);

/// A route, or a pipeline, as a part of a name: a letter that is none is written as % and two hexadecimal digits.
std::string encode_part(std::string_view text);

/// The object's name. `mark` goes before the extension: "-9f3a…", "_2".
std::string object_name(const ArchiveOptions& options, std::string_view pipeline, std::string_view route,
                        TimePoint first_time, std::string_view mark);

/// Folders in which all objects of [from, to) are, each ending with a slash or being "".
std::vector<std::string> folders_of(const ArchiveOptions& options, std::string_view pipeline,
                                    const std::vector<std::string>& routes, TimePoint from, TimePoint to);

}  // namespace penstock::archive
