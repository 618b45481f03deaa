#pragma once

#include <utility>

#include "base/error.h"

namespace penstock::postgres {

/// What the server answers to somebody who replicates, told with who must act and what to do about it: server_error() knows
/// its SQLSTATE, but most of replication's troubles share one of three. Errors that are not the server's stay as they are.
Error replication_error(Error error);

template <class T>
Result<T> explained(Result<T> result) {
    if (!result) return fail(replication_error(std::move(result.error())));
    return result;
}

/// A message that has no place where it came.
Error unexpected(const char* what);

}  // namespace penstock::postgres
