#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include "flow/component.h"

namespace penstock::pubsub {

/// A subscription as a source of events: see component.cc.
bool is_stream(const flow::BuildContext& context);
bool is_routed(const flow::BuildContext& context);
Result<std::shared_ptr<flow::PayloadDecoder>> payload_decoder(const flow::BuildContext& context);
Status validate_source(const flow::BuildContext& context);
Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context);
/// Whether the subscription is there, can be pulled, and is set up for a consumer that commits.
Result<std::vector<flow::Finding>> examine_source(const flow::BuildContext& context, std::stop_token stop);

}  // namespace penstock::pubsub
