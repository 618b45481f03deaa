#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/secret.h"
#include "config/pipeline.h"
#include "connect/parquet/write.h"

namespace penstock::parquet {

/// `connections: {lake: {type: files, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    config::Text url;
    config::Text endpoint;
    std::string region;
    config::FilePath credentials;
    Secret access_key;
    Secret secret_key;
    Secret session_token;
    std::chrono::microseconds retry_for = std::chrono::minutes(2);

    bool in_bucket() const;  ///< gs: or s3:
};

enum class Format { parquet };

struct TargetOptions : config::TargetOptions {
    Format format = Format::parquet;
    config::Text path{.value = "{table}/"};
    Compression compression = Compression::zstd;
    std::optional<int64_t> compression_level;
    int64_t row_group_rows = 122880;
    std::optional<config::Bytes> row_group_bytes;
    std::optional<config::Bytes> file_bytes;
    FileVersion parquet_version = FileVersion::v2;
    bool bloom_filters = false;
    std::chrono::microseconds commit_every = std::chrono::seconds(10);

    WriteOptions write() const;
};

const config::Spec<ConnectionOptions>& connection_spec();
const config::Spec<TargetOptions>& target_spec();

/// The folder that a `file:` URL names; relative ones start at the configuration file. Where the URL is a bucket's this is an
/// error: tables are kept in folders only.
Result<Path> root_of(const ConnectionOptions& options);

}  // namespace penstock::parquet
