#pragma once

#include <chrono>
#include <string>

#include "io/http.h"

namespace penstock::io {

/// What became of one try to tell somebody of something.
struct Delivery {
    bool delivered = false;
    bool passing = false;              ///< another time it may go better
    std::chrono::milliseconds wait{};  ///< that the receiver asks for; zero: none
    std::string why;                   ///< for people; without URL and secrets
};

/// Of an answer to what was sent by POST: 2xx is delivered, what is wrong with the server or with now is passing.
Delivery delivery_of(const Result<Response>& answer);

}  // namespace penstock::io
