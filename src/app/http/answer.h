#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "app/http/server.h"
#include "base/error.h"

namespace penstock::app::http {

/// A body of JSON.
Response json_answer(int status, const nlohmann::ordered_json& body);
/// {"error": {"code", "message", "where", "hint"}}, as commands show errors.
/// Secrets are redacted.
Response error_answer(int status, const Error& error);
Response error_answer(int status, std::string_view code, std::string_view message, std::string_view hint);

/// The token behind "Authorization: Bearer "; "" for anything else.
std::string bearer(const Request& request);

/// What a request names: its path, and the parameters behind the question mark.
/// %XX that is none stays as it is.
void split_target(std::string_view target, Request& into);

}  // namespace penstock::app::http
