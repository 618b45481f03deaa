#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::flow {

/// Why a payload is not what it should be, for its reject.
struct Undecodable {
    std::string code;
    std::string reason;
};

/// Turns the bytes of messages into JSON, which is all that routes know. One thread.
class PayloadDecoder {
  public:
    virtual ~PayloadDecoder() = default;
    /// Overwrites `json`. An error where nothing can be said of the payload now: its schema cannot be had.
    virtual Result<std::optional<Undecodable>> decode(std::string_view payload, std::string& json) = 0;
};

/// No document is longer, whatever a payload claims: a few bytes can stand for lists without end.
inline constexpr size_t most_document_bytes = size_t{64} << 20;

}  // namespace penstock::flow
