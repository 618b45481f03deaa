#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "config/spec.h"
#include "config/values.h"
#include "flow/payload.h"
#include "transform/payload/registry_options.h"

namespace penstock::payload {

/// How the payloads of events are written.
enum class Format { json, avro, protobuf };

/// Options of a source of events that are about it.
struct FormatOptions {
    Format format = Format::json;
    config::FilePath schema;  ///< one for all messages: .avsc, .proto
    config::Text message;     ///< of a .proto, the type
    std::optional<RegistryOptions> registry = {};
};

/// Only what can be seen in the options.
Status check_format(const FormatOptions& options, const config::Node& source);

/// Null where payloads are JSON already. Reads the schema's file; asks no registry before a message needs it.
Result<std::unique_ptr<flow::PayloadDecoder>> make_decoder(const FormatOptions& options);

}  // namespace penstock::payload
