#pragma once

#include <chrono>
#include <string>

#include "base/secret.h"
#include "config/spec.h"
#include "config/values.h"

namespace penstock::config {

/// `trigger`: how a message from outside starts a pipeline, and who may send one.
struct Trigger {
    Text http;          ///< the path of the server
    bool push = false;  ///< messages also come in the envelope of a push subscription
    std::string audience;
    std::string service_account;
    std::string keys = "https://www.googleapis.com/oauth2/v3/certs";
    Secret token;
    FilePath schema;
    Bytes max_bytes{uint64_t{1} << 20};
    std::chrono::microseconds timeout = std::chrono::seconds(540);

    /// Whether a sender has to say who it is.
    bool guarded() const { return !token.empty() || !audience.empty(); }
};

const Spec<Trigger>& trigger_spec();

}  // namespace penstock::config
