#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "app/options.h"
#include "base/error.h"

namespace penstock::app {

/// Results go to standard output, once and whole, without what a terminal would obey; a closed or full one is an error.
Status print(std::string_view text);
/// As JSON, indented; bytes that are no UTF-8 are replaced.
Status print_json(const nlohmann::ordered_json& value);

/// The error on standard error: in lines for people, or as one line of the JSON log.
void print_error(const Error& error, log::Format format);

/// {"code", "message", "where", "hint"}; the causes are part of the message.
nlohmann::ordered_json error_json(const Error& error);

}  // namespace penstock::app
