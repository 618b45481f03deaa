#pragma once

#include "base/error.h"

namespace penstock::postgres {

/// What the server answers to somebody who replicates, told with who must act and what to do about it: server_error() knows
/// its SQLSTATE, but most of replication's troubles share one of three. Errors that are not the server's stay as they are.
Error replication_error(Error error);

}  // namespace penstock::postgres
