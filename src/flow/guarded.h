#pragma once

#include <fmt/format.h>

#include <exception>
#include <new>

#include "base/error.h"

namespace penstock::flow {

/// Calls a step that ends in a Result. Libraries throw where memory runs out: an exception becomes an Error like any other,
/// so that whoever must take something back does.
template <class Step>
auto guarded(Step&& step) -> decltype(step()) {
    try {
        return step();
    } catch (const std::bad_alloc&) {
        return fail({.kind = ErrorKind::capacity,
                     .code = "out_of_memory",
                     .message = "there is no memory left",
                     .hint = "lower `parallel` or `memory`, or give the process more"});
    } catch (const std::exception& error) {
        return fail({.kind = ErrorKind::internal,
                     .code = "unexpected_exception",
                     .message = fmt::format("unexpected exception: {}", error.what()),
                     .hint = "this is a fault of penstock: please report it with the run's log"});
    } catch (...) {
        return fail({.kind = ErrorKind::internal,
                     .code = "unexpected_exception",
                     .message = "unexpected exception of an unknown kind",
                     .hint = "this is a fault of penstock: please report it with the run's log"});
    }
}

}  // namespace penstock::flow
