#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/pipeline.h"

namespace penstock::postgres {

enum class TlsMode { disable, allow, prefer, require, verify_ca, verify_full };
std::string_view to_string(TlsMode mode);

struct TlsOptions {
    TlsMode mode = TlsMode::verify_full;
    config::FilePath ca;
    config::FilePath cert;
    config::FilePath key;
    Secret key_password;
};

/// `connections: {shop: {type: postgres, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    Secret url;  ///< an URL or a libpq key=value string (service=…, passfile=… included)
    std::optional<TlsOptions> tls;
    std::optional<std::chrono::microseconds> statement_timeout;
    std::optional<std::chrono::microseconds> lock_timeout;
    std::chrono::microseconds connect_timeout = std::chrono::seconds(15);
    std::string name;  ///< of the connection, for messages; not an option
};

enum class ChangePlugin { pgoutput, wal2json };
std::string_view to_string(ChangePlugin plugin);
/// Of wal2json.
enum class FormatVersion { one, two };
enum class SnapshotChoice { initial, never };
enum class OriginChoice { any, none };

/// What becomes of a table whose changes alone do not tell its rows any more.
enum class OnRewrite { resnapshot, stop };
/// What becomes of a table that cannot be written as the configuration says.
enum class OnTableError { stop, set_aside };

/// `changes:` of a source: the stream of a replication slot.
struct ChangesOptions {
    std::vector<config::Text> tables;
    std::vector<config::Text> exclude;
    config::Text publication;
    config::Text slot;
    ChangePlugin plugin = ChangePlugin::pgoutput;
    std::optional<FormatVersion> format_version;
    bool finite_numbers = false;
    SnapshotChoice snapshot = SnapshotChoice::initial;
    bool create = false;
    config::FilePath spill_directory;
    config::Bytes spill_limit{uint64_t{64} << 30};
    OnRewrite on_rewrite = OnRewrite::resnapshot;
    OnTableError on_table_error = OnTableError::stop;
    std::chrono::microseconds look_every = std::chrono::seconds(30);
    OriginChoice origin = OriginChoice::any;
    bool failover = false;
    config::Bytes low_room{uint64_t{256} << 20};
    config::Bytes most_kept{uint64_t{24} << 20};
    std::optional<std::chrono::microseconds> heartbeat;
    config::Text heartbeat_table;
};

/// `source:` of a pipeline that reads tables, a query or changes.
struct SourceOptions : config::SourceOptions {
    config::Text table;
    std::vector<config::Text> tables;
    std::vector<config::Text> exclude;
    config::Text query;
    config::Text where;
    config::Text cursor;
    config::Text cursor_lag;
    std::map<std::string, int64_t> array_dimensions;
    std::optional<ChangesOptions> changes;
};

const config::Spec<ConnectionOptions>& connection_spec();
const config::Spec<SourceOptions>& source_spec();

/// The source's options; a `query:` that names a file (*.sql) is replaced by its content.
Result<SourceOptions> parse_source(const config::Node& node);

/// The connection's options; relative paths of certificates are resolved. The URL is remembered as a secret.
Result<ConnectionOptions> parse_connection(const config::Node& node, const std::string& name);

}  // namespace penstock::postgres
