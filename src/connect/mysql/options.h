#pragma once

#include <filesystem>

#include "base/secret.h"
#include "config/pipeline.h"
#include "state/place.h"

namespace penstock::mysql {

/// `connections: {ops: {type: mysql, url: …}}`
struct ConnectionOptions : config::ConnectionOptions {
    Secret url;
    std::string host;  ///< with the next ones instead of the URL, for words that come one by one
    int64_t port = 3306;
    std::string user;
    Secret password;
    std::string database;
};

const config::Spec<ConnectionOptions>& connection_spec();

/// The server and database that a connection names; relative paths in it are relative to `directory`.
Result<state::Place> parse_connection(const config::Node& node, const std::filesystem::path& directory);

}  // namespace penstock::mysql
