#pragma once

#include <memory>

#include "flow/component.h"

namespace penstock::kafka {

/// Topics of change events as a source: see component.cc.
bool is_event_stream(const flow::BuildContext& context);
bool is_routed(const flow::BuildContext& context);
Result<std::shared_ptr<flow::PayloadDecoder>> payload_decoder(const flow::BuildContext& context);
Status validate_events(const flow::BuildContext& context);
Result<std::unique_ptr<flow::Source>> build_event_source(const flow::BuildContext& context);

}  // namespace penstock::kafka
