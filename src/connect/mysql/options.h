#pragma once

#include <filesystem>

#include "base/secret.h"
#include "config/pipeline.h"
#include "state/place.h"

namespace penstock::mysql {

/// `connections: {ops: {type: mysql, url: …}}`
struct ConnectionOptions : config::ConnectionOptions {
    Secret url;
};

const config::Spec<ConnectionOptions>& connection_spec();

/// The server and database that a connection names; relative paths in it are relative to `directory`.
Result<state::Place> parse_connection(const config::Node& node, const std::filesystem::path& directory);

}  // namespace penstock::mysql
