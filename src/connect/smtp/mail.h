#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"
#include "connect/smtp/options.h"

namespace penstock::smtp {

/// News as a message with lines that end in CR LF, of ASCII alone: a header of its own kind for each of `event` and `pipeline`,
/// and the same Message-ID for the same news, so that one that is sent again is known to be the same.
std::string mail_of(const ConnectionOptions& options, const nlohmann::ordered_json& news, TimePoint at);

/// A header's text as RFC 2047 has it where it is not plain ASCII; never with a line break that is not one of folding.
std::string header_text(std::string_view text);

}  // namespace penstock::smtp
