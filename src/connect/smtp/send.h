#pragma once

#include <stop_token>
#include <string>

#include "connect/smtp/options.h"
#include "io/delivery.h"

namespace penstock::smtp {

/// Hands one message to the server, for all of `to`. An address that the server refuses keeps it from none of the others; a
/// message that it takes for nobody is not delivered.
io::Delivery send(const ConnectionOptions& options, const std::string& mail, std::stop_token stop);

}  // namespace penstock::smtp
