#pragma once

#include <cstdio>
#include <cstdlib>

/// An invariant of ours, on in release too. Never reachable from input: what outsiders send is answered by an Error.
#define PN_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) [[unlikely]] {                                                           \
            std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                          \
        }                                                                                          \
    } while (false)
