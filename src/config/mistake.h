#pragma once

#include <string>
#include <utility>

#include "config/values.h"

namespace penstock::config {

/// What is wrong with a value, at its place.
inline Error mistake(const Text& at, std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = at.place.text(),
            .hint = std::move(hint)};
}

inline std::unexpected<Error> refuse(const Text& at, std::string code, std::string message, std::string hint) {
    return fail(mistake(at, std::move(code), std::move(message), std::move(hint)));
}

}  // namespace penstock::config
