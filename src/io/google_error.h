#pragma once

#include <string>
#include <string_view>

#include "io/http.h"

namespace penstock::io {

/// What a Google API says went wrong, from the body of its answer.
struct GoogleError {
    int status = 0;
    std::string reason;   ///< notFound, duplicate, rateLimitExceeded …; "" where none is given
    std::string message;  ///< one line
};

GoogleError google_error(const Response& response);

/// By Google's rules ("Error messages" and "Troubleshoot quota" of BigQuery, AIP-194): the same request may be answered
/// otherwise later.
bool is_passing(int status, std::string_view reason);

}  // namespace penstock::io
