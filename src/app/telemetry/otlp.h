#pragma once

#include <opentelemetry/proto/common/v1/common.pb.h>
#include <opentelemetry/proto/resource/v1/resource.pb.h>

#include <string>
#include <string_view>

#include "app/telemetry/settings.h"
#include "base/clock.h"
#include "base/redacted.h"

namespace penstock::app::telemetry {

namespace otlp = opentelemetry::proto;

/// Include only from bodies: what protobuf generates is large.
inline uint64_t nanoseconds(TimePoint at) { return static_cast<uint64_t>(at.time_since_epoch().count()) * 1000; }

template <class Message>
void add_attribute(Message& to, std::string_view name, std::string_view value) {
    auto& attribute = *to.add_attributes();
    attribute.set_key(std::string(name));
    attribute.mutable_value()->set_string_value(valid_text(std::string(value)));
}
template <class Message>
void add_attribute(Message& to, std::string_view name, int64_t value) {
    auto& attribute = *to.add_attributes();
    attribute.set_key(std::string(name));
    attribute.mutable_value()->set_int_value(value);
}

inline void describe(otlp::resource::v1::Resource& resource, const Settings& by) {
    for (const auto& [name, value] : by.resource) add_attribute(resource, name, std::string_view(value));
}

}  // namespace penstock::app::telemetry
