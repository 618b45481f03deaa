#pragma once

#include "state/place.h"

namespace penstock::state {

/// The URLs of servers; place_of() chooses.
Result<Place> mysql_place(const std::string& url, const std::filesystem::path& directory);
Result<Place> postgres_place(const std::string& url, const std::filesystem::path& directory);

/// Never quotes the URL, which may hold a password.
Error url_error(std::string message, std::string hint);

/// On this machine: what is sent there does not pass a network.
bool is_loopback(const std::string& host);

/// `'it\'s'`, as the connection strings of libpq and of SOCI's MySQL backend want values.
std::string connection_value(std::string_view value);

}  // namespace penstock::state
