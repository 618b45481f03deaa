#pragma once

#include <string>

#include "config/pipeline.h"
#include "transform/debezium/envelope.h"

namespace penstock::debezium {

/// What the target options of every bus say about envelopes; their structs derive from it, their specs include its spec.
struct EnvelopeChoices {
    config::Text server;
    bool schemas = false;
    Decimals decimals = Decimals::precise;
    Times times = Times::adaptive;
    Intervals intervals = Intervals::numeric;
    Binaries binaries = Binaries::bytes;

    /// `server` as it is written, or else the source connection's name.
    EnvelopeOptions options(const std::string& source_connection) const;
};

const config::Spec<EnvelopeChoices>& envelope_spec();

}  // namespace penstock::debezium
