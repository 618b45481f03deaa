#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/secret.h"
#include "config/pipeline.h"

namespace penstock::webhook {

enum class Form { automatic, slack, json };

/// `connections: {slack: {type: webhook, url: …}}`
struct ConnectionOptions : config::ConnectionOptions {
    Secret url;  ///< whoever knows it may write, so it is shown nowhere
    Form form = Form::automatic;
    Secret bearer;
    std::map<std::string, Secret> headers;
    config::FilePath ca;
    std::chrono::microseconds timeout = std::chrono::seconds(10);
};

const config::Spec<ConnectionOptions>& connection_spec();

/// What automatic stands for: Slack's own host has its form, every other one gets JSON.
Form form_of(const ConnectionOptions& options);

}  // namespace penstock::webhook
